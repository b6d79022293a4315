// The manifest of a model file: the part that a score depends on.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "lifeiqa/lifeiqa.hpp"

namespace lifeiqa {

// The batch sizes of an optimization profile.
struct BatchProfile {
  int minimum = 1;
  int maximum = 1;
};

// The part of a manifest that only an engine has.
struct EngineInfo {
  std::string runtime;             // the runtime that built it, "tensorrt" or "tensorrt-rtx"
  std::string version;             // of that runtime
  std::string compute_capability;  // of the GPU that it was built for, "8.9"
  std::string hardware_compatibility = "none";
  bool version_compatible = false;
  bool stripped = false;  // built without its weights
  std::vector<BatchProfile> profiles;
};

struct Manifest {
  Model model;
  std::string kind;          // "onnx" or "engine"
  std::optional<int> batch;  // the static batch size of a graph; none if the batch is dynamic
  std::optional<EngineInfo> engine;
  std::string source;  // the file it was made from, for the command that rebuilds it
};

// Reads the sidecar of a model file, and checks its checksum and the sha256 of the model file.
//
// Throws Error(artifact) if one is damaged or they do not match.
Manifest manifest_from_sidecar(const std::string& path, const std::vector<std::uint8_t>& file);

// Reads the manifest inside an ONNX file. `text` is its JSON.
Manifest manifest_from_text(const std::string& text, const std::string& origin,
                            const std::vector<std::uint8_t>& file);

std::string sidecar_of(const std::string& path);

}  // namespace lifeiqa
