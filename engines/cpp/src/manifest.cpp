#include "manifest.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "canonical.hpp"
#include "crop_plan.hpp"
#include "error.hpp"
#include "file.hpp"
#include "resize.hpp"

namespace lifeiqa {
namespace {

using nlohmann::json;

constexpr int latest_format = 2;  // of the JSON layout; format 1 is read as well
constexpr auto checksum_key = "checksum";

json parse_object(const std::string& text, const std::string& origin) {
  json values;
  try {
    values = json::parse(text);
  } catch (const json::exception& error) {
    fail(Code::artifact, origin, ": the manifest cannot be read: ", error.what());
  }
  if (!values.is_object()) {
    fail(Code::artifact, origin, ": the manifest cannot be read: not a JSON object");
  }
  return values;
}

std::string checksum_of(const json& values, const std::string& origin) {
  try {
    const std::string text = canonical(values);
    return sha256_of(text.data(), text.size());
  } catch (const Error& error) {
    fail(Code::artifact, origin, ": the manifest cannot be read: ", error.what());
  }
}

int positive_integer(const json& values, const char* name) {
  const json& value = values.at(name);
  if (!value.is_number_integer() || value < 1 || value > 1'000'000) {
    fail(Code::config, name, " is ", value.dump(), ": a whole number of at least 1 is expected");
  }
  return value.get<int>();
}

std::optional<int> optional_integer(const json& values, const char* name) {
  if (!values.contains(name) || values.at(name).is_null()) return std::nullopt;
  return positive_integer(values, name);
}

std::string choice(const json& values, const char* name, const std::vector<std::string>& choices) {
  const auto value = values.at(name).get<std::string>();
  require_choice(name, value, choices);
  return value;
}

// Refuses unknown settings: without them the score could be a different one.
void require_known(const json& values, const char* what, const std::vector<std::string>& known) {
  std::vector<std::string> unknown;
  for (const auto& [name, value] : values.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) unknown.push_back(name);
  }
  if (unknown.empty()) return;
  fail(Code::config, what, " has no ", joined(unknown), "; it has ", joined(known),
       ". A file written by a newer lifeiqa needs that version to be read");
}

Preprocessing preprocessing_from(const json& values) {
  const json& settings = values.at("preprocessing");
  require_known(settings, "Preprocessing", {"crops", "mean", "resample", "short_side", "std"});
  Preprocessing preprocessing;
  preprocessing.size = positive_integer(values.at("config"), "crop_size");
  preprocessing.short_side = optional_integer(settings, "short_side");
  preprocessing.resample = settings.value("resample", preprocessing.resample);
  preprocessing.plan = settings.value("crops", preprocessing.plan);
  require_kernel(preprocessing.resample);
  CropPlan::parse(preprocessing.plan);
  return preprocessing;
}

EngineInfo engine_from(const json& values, int format) {
  const char* const runtime_key = format == 1 ? "flavour" : "runtime";
  require_known(
      values, "EngineInfo",
      {"arithmetic", "compute_capability", "driver", "gpu", "hardware_compatibility", "profiles",
       "refittable", runtime_key, "stripped", "tensors", "version", "version_compatible"});
  EngineInfo info;
  info.runtime = values.at(runtime_key).get<std::string>();
  info.version = values.at("version").get<std::string>();
  info.compute_capability = values.at("compute_capability").get<std::string>();
  info.hardware_compatibility = values.value("hardware_compatibility", info.hardware_compatibility);
  info.version_compatible = values.value("version_compatible", false);
  info.stripped = values.value("stripped", false);
  for (const json& profile : values.at("profiles")) {
    const int minimum = positive_integer(profile, "minimum");
    const int maximum = positive_integer(profile, "maximum");
    if (minimum > maximum) {
      fail(Code::config, "profiles: minimum ", minimum, " is above maximum ", maximum);
    }
    info.profiles.push_back({minimum, maximum});
  }
  if (info.profiles.empty()) {
    fail(Code::config, "profiles: an engine has at least one batch size");
  }
  return info;
}

void read_labels(const json& values, Model& model) {
  require_known(values, "Labels", {"dataset", "direction", "high", "low", "normalised"});
  model.low = values.at("low").get<double>();
  model.high = values.at("high").get<double>();
  model.higher_is_better = values.value("direction", "higher") == "higher";
  if (!std::isfinite(model.low) || !std::isfinite(model.high) || model.low >= model.high) {
    fail(Code::config, "label range ", model.low, "..", model.high, ": low must be below high");
  }
}

Manifest manifest_from_values(const json& values) {
  const int format = values.value("format", 0);
  if (format < 1 || format > latest_format) {
    fail(Code::artifact, "its format is ", format, ", and this lifeiqa reads formats 1 and ",
         latest_format, "; a newer format needs a newer lifeiqa");
  }
  Manifest manifest;
  manifest.kind = choice(values, "kind", {"checkpoint", "onnx", "engine"});
  manifest.batch = optional_integer(values, "batch");
  manifest.model.name = values.at("name").get<std::string>();
  manifest.model.precision = choice(values, "precision", {"fp32", "fp16", "int8"});
  manifest.model.preprocessing = preprocessing_from(values);
  read_labels(values.at("labels"), manifest.model);
  const json parents = values.value("parents", json::array());
  manifest.source = "MODEL.onnx";
  if (!parents.empty()) manifest.source = parents.at(0).at("file").get<std::string>();
  const bool has_engine = values.contains("engine") && values.at("engine").is_object();
  if ((manifest.kind == "engine") != has_engine) {
    fail(Code::artifact, "kind is ", quoted(manifest.kind),
         has_engine ? ", but it describes an engine" : ", but it does not describe its engine");
  }
  if (has_engine) manifest.engine = engine_from(values.at("engine"), format);
  return manifest;
}

Manifest manifest_from_values(const json& values, const std::string& origin) {
  try {
    return manifest_from_values(values);
  } catch (const Error& error) {
    fail(Code::artifact, origin, ": the manifest cannot be read: ", error.what());
  } catch (const json::exception& error) {
    fail(Code::artifact, origin, ": the manifest cannot be read: ", error.what());
  }
}

// The sha256 that a sidecar states for its model file; null if it states none.
json stated_sha256(const json& values, const std::string& path) {
  if (values.value("format", 0) == 1) return values.value("sha256", json());
  const json files = values.value("files", json::object());
  if (!files.is_object() || files.size() > 1) {
    fail(Code::artifact, path, ": its manifest names ", files.size(),
         " files, but only models of one file are supported. Export it again with lifeiqa-export");
  }
  return files.empty() ? json() : files.front();
}

// A value of a manifest as an error message shows it.
std::string shown(const json& value) {
  if (value.is_null()) return "None";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

std::string sidecar_of(const std::string& path) { return path + ".json"; }

Manifest manifest_from_sidecar(const std::string& path, const std::vector<std::uint8_t>& file) {
  const std::string sidecar = sidecar_of(path);
  const std::vector<std::uint8_t> text = read_file(sidecar);
  json values = parse_object(std::string(text.begin(), text.end()), sidecar);
  const json stated_checksum = values.value(checksum_key, json());
  values.erase(checksum_key);
  const std::string checksum = checksum_of(values, sidecar);
  const std::string name = name_of(path);
  if (stated_checksum != checksum) {
    fail(Code::artifact, sidecar, ": its checksum is ", shown(stated_checksum),
         ", but its values give ", checksum,
         ". It was changed, or written before manifests had a checksum: export or build ", name,
         " again");
  }
  Manifest manifest = manifest_from_values(values, sidecar);
  const json stated = stated_sha256(values, path);
  manifest.model.sha256 = sha256_of(file.data(), file.size());
  if (stated != manifest.model.sha256) {
    fail(Code::artifact, path, ": its sha256 is ", manifest.model.sha256, ", but the manifest ",
         name, ".json states ", shown(stated),
         ". One of the two was replaced: export again with lifeiqa-export");
  }
  return manifest;
}

Manifest manifest_from_text(const std::string& text, const std::string& origin,
                            const std::vector<std::uint8_t>& file) {
  Manifest manifest = manifest_from_values(parse_object(text, origin), origin);
  manifest.model.sha256 = sha256_of(file.data(), file.size());
  return manifest;
}

}  // namespace lifeiqa
