// JSON in the one form that a sidecar's checksum is taken of.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lifeiqa {

// What Python's json.dumps(values, sort_keys=True, separators=(",", ":")) gives: keys in the order
// of their code points, nothing outside ASCII, a float as the shortest text that reads as itself.
// Throws Error(artifact) where values are nested too deeply.
std::string canonical(const nlohmann::json& values);

}  // namespace lifeiqa
