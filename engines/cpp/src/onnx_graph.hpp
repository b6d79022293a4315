// What ONNX Runtime says of a graph, held against its manifest; the twin of
// lifeiqa/runtimes/contract.py.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <string>

#include "manifest.hpp"

namespace lifeiqa {

constexpr auto input_name = "crops";
constexpr auto output_name = "score";

// Throws Error(artifact) where the graph has other inputs or outputs than its manifest says.
void require_graph(const std::string& path, const Ort::Session& session, const Manifest& manifest);

// Throws Error(artifact) unless these are float32 (count,).
void require_scores(const std::string& path, const Ort::Value& scores, std::size_t count);

}  // namespace lifeiqa
