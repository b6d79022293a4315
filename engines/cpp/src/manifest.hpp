// What a model file says of itself: the part of the sidecar that a score depends on.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "lifeiqa/lifeiqa.hpp"

namespace lifeiqa {

// The batch sizes that a part of an engine was compiled for.
struct BatchProfile {
  int minimum = 1;
  int maximum = 1;
};

// The part of a manifest that only an engine has.
struct EngineInfo {
  std::string runtime;             // what built it: tensorrt or tensorrt-rtx
  std::string version;             // of that TensorRT
  std::string compute_capability;  // of the chip, "8.9"
  std::string hardware_compatibility = "none";
  bool version_compatible = false;
  bool stripped = false;
  std::vector<BatchProfile> profiles;
};

struct Manifest {
  Model model;
  std::string kind;          // onnx or engine
  std::optional<int> batch;  // the one batch size of a graph; none for any
  std::optional<EngineInfo> engine;
  std::string source;  // the file it was made from, for the command that makes it anew
};

// The sidecar of a model file, checked: the sum of its own values, and that of the model's bytes.
//
// Throws Error(artifact) where one is damaged, or they do not belong together.
Manifest manifest_from_sidecar(const std::string& path, const std::vector<std::uint8_t>& file);

// The manifest that an ONNX file carries inside; `text` is JSON.
Manifest manifest_from_text(const std::string& text, const std::string& origin,
                            const std::vector<std::uint8_t>& file);

std::string sidecar_of(const std::string& path);

}  // namespace lifeiqa
