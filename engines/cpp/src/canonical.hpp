// JSON in its canonical form, which the checksum of a sidecar is computed from.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lifeiqa {

// The same text as Python's json.dumps(values, sort_keys=True, separators=(",", ":")): keys sorted
// by code point, ASCII only, floats in their shortest form that reads back exactly.
// Throws Error(artifact) if the values are nested too deeply.
std::string canonical(const nlohmann::json& values);

}  // namespace lifeiqa
