// Checks that a graph matches its manifest. Mirrors lifeiqa/runtimes/contract.py.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <string>

#include "manifest.hpp"

namespace lifeiqa {

constexpr auto input_name = "crops";
constexpr auto output_name = "score";

// Throws Error(artifact) unless the graph has the inputs and outputs of its manifest.
void require_graph(const std::string& path, const Ort::Session& session, const Manifest& manifest);

// Throws Error(artifact) unless the scores are float32 (count,).
void require_scores(const std::string& path, const Ort::Value& scores, std::size_t count);

}  // namespace lifeiqa
