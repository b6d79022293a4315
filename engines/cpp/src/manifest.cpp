#include "manifest.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "canonical.hpp"
#include "crop_plan.hpp"
#include "digest.hpp"
#include "error.hpp"
#include "resize.hpp"

namespace lifeiqa {
namespace {

using nlohmann::json;

constexpr int newest_format = 2;  // of the JSON layout; format 1 is read as well
constexpr auto checksum = "checksum";

json parsed(const std::string& text, const std::string& origin) {
  json values;
  try {
    values = json::parse(text);
  } catch (const json::exception& error) {
    fail(Code::artifact, origin, ": the manifest cannot be read: ", error.what());
  }
  if (!values.is_object()) {
    fail(Code::artifact, origin, ": the manifest cannot be read: it is no JSON object");
  }
  return values;
}

std::string canonical_of(const json& values, const std::string& origin) {
  try {
    return canonical(values);
  } catch (const Error& error) {
    fail(Code::artifact, origin, ": the manifest cannot be read: ", error.what());
  }
}

int whole_number(const json& values, const char* name) {
  const json& value = values.at(name);
  if (!value.is_number_integer() || value < 1 || value > 1'000'000) {
    fail(Code::config, name, " is ", value.dump(), ": a whole number of at least 1 is expected");
  }
  return value.get<int>();
}

std::optional<int> optional_number(const json& values, const char* name) {
  if (!values.contains(name) || values.at(name).is_null()) return std::nullopt;
  return whole_number(values, name);
}

std::string one_of(const json& values, const char* name,
                   std::initializer_list<const char*> choices) {
  const auto value = values.at(name).get<std::string>();
  std::string known;
  for (const char* each : choices) {
    if (value == each) return value;
    known += (known.empty() ? "" : ", ") + std::string(each);
  }
  fail(Code::config, name, " is ", in_quotes(value), ": choose one of ", known);
}

// Refuses settings that this library does not know: a score without them would be another one.
void require_known(const json& values, const char* what, const std::vector<std::string>& names) {
  std::string unknown, known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  for (const auto& [name, value] : values.items()) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    unknown += (unknown.empty() ? "" : ", ") + name;
  }
  if (unknown.empty()) return;
  fail(Code::config, what, " has no ", unknown, "; it has ", known,
       ". A file written by a newer lifeiqa needs that version to be read");
}

Preprocessing preprocessing_of(const json& values) {
  const json& feed = values.at("preprocessing");
  require_known(feed, "Preprocessing", {"crops", "mean", "resample", "short_side", "std"});
  Preprocessing found;
  found.size = whole_number(values.at("config"), "crop_size");
  found.short_side = optional_number(feed, "short_side");
  found.resample = feed.value("resample", found.resample);
  found.plan = feed.value("crops", found.plan);
  require_kernel(found.resample);
  CropPlan::parse(found.plan);
  return found;
}

EngineInfo engine_of(const json& values, int format) {
  const char* runtime = format == 1 ? "flavour" : "runtime";
  require_known(
      values, "EngineInfo",
      {"arithmetic", "compute_capability", "driver", "gpu", "hardware_compatibility", "profiles",
       "refittable", runtime, "stripped", "tensors", "version", "version_compatible"});
  EngineInfo info;
  info.runtime = values.at(runtime).get<std::string>();
  info.version = values.at("version").get<std::string>();
  info.compute_capability = values.at("compute_capability").get<std::string>();
  info.hardware_compatibility = values.value("hardware_compatibility", info.hardware_compatibility);
  info.version_compatible = values.value("version_compatible", false);
  info.stripped = values.value("stripped", false);
  for (const json& each : values.at("profiles")) {
    info.profiles.push_back({whole_number(each, "minimum"), whole_number(each, "maximum")});
    if (info.profiles.back().minimum > info.profiles.back().maximum) {
      fail(Code::config, "profiles: a minimum is above its maximum");
    }
  }
  if (info.profiles.empty()) {
    fail(Code::config, "profiles: an engine has at least one batch size");
  }
  return info;
}

Manifest understood(const json& values) {
  const int format = values.value("format", 0);
  if (format < 1 || format > newest_format) {
    fail(Code::artifact, "its format is ", format, ", and this lifeiqa reads formats 1 and ",
         newest_format, "; a newer format needs a newer lifeiqa");
  }
  Manifest manifest;
  manifest.kind = one_of(values, "kind", {"checkpoint", "onnx", "engine"});
  manifest.batch = optional_number(values, "batch");
  Model& model = manifest.model;
  model.name = values.at("name").get<std::string>();
  model.precision = one_of(values, "precision", {"fp32", "fp16", "int8"});
  model.preprocessing = preprocessing_of(values);
  const json& labels = values.at("labels");
  require_known(labels, "Labels", {"dataset", "direction", "high", "low", "normalised"});
  model.low = labels.at("low").get<double>();
  model.high = labels.at("high").get<double>();
  model.higher_is_better = labels.value("direction", "higher") == "higher";
  if (!std::isfinite(model.low) || !std::isfinite(model.high) || model.low >= model.high) {
    fail(Code::config, "label range ", model.low, "..", model.high, ": low must be below high");
  }
  const json parents = values.value("parents", json::array());
  manifest.source = "MODEL.onnx";
  if (!parents.empty()) manifest.source = parents.at(0).at("file").get<std::string>();
  if ((manifest.kind == "engine") !=
      (values.contains("engine") && values.at("engine").is_object())) {
    fail(Code::artifact, "kind is ", in_quotes(manifest.kind), ", and its engine does not fit");
  }
  if (manifest.kind == "engine") manifest.engine = engine_of(values.at("engine"), format);
  return manifest;
}

Manifest manifest_of(const json& values, const std::string& origin) {
  try {
    return understood(values);
  } catch (const Error& error) {
    fail(Code::artifact, origin, ": the manifest cannot be read: ", error.what());
  } catch (const json::exception& error) {
    fail(Code::artifact, origin, ": the manifest cannot be read: ", error.what());
  }
}

// The sum that a sidecar states for its file; null where it states none.
json stated_sum(const json& values, const std::string& path) {
  if (values.value("format", 0) == 1) return values.value("sha256", json());
  const json files = values.value("files", json::object());
  if (!files.is_object() || files.size() > 1) {
    fail(Code::artifact, path, ": its manifest names ", files.size(),
         " files, and models of one file are read: export it again with lifeiqa-export");
  }
  return files.empty() ? json() : files.front();
}

}  // namespace

std::string sidecar_of(const std::string& path) { return path + ".json"; }

Manifest manifest_from_sidecar(const std::string& path, const std::vector<std::uint8_t>& file) {
  const std::string sidecar = sidecar_of(path);
  const std::vector<std::uint8_t> text = contents_of(sidecar);
  json values = parsed(std::string(text.begin(), text.end()), sidecar);
  const json stated = values.value(checksum, json());
  values.erase(checksum);
  const std::string whole = canonical_of(values, sidecar),
                    sum = sha256_of(whole.data(), whole.size());
  const std::string name = path.substr(path.find_last_of('/') + 1);
  if (stated != sum) {
    const std::string words = stated.is_null()     ? "None"
                              : stated.is_string() ? stated.get<std::string>()
                                                   : stated.dump();
    fail(Code::artifact, sidecar, ": its checksum is ", words, ", its values give ", sum,
         ". It was changed, or written before manifests had one: export or build ", name, " again");
  }
  Manifest manifest = manifest_of(values, sidecar);
  const json said = stated_sum(values, path);
  manifest.model.sha256 = sha256_of(file.data(), file.size());
  if (said != manifest.model.sha256) {
    fail(Code::artifact, path, ": its sha256 is ", manifest.model.sha256, ", the manifest ", name,
         ".json says ", said.is_string() ? said.get<std::string>() : "None",
         ". One of the two was replaced: export again with lifeiqa-export");
  }
  return manifest;
}

Manifest manifest_from_text(const std::string& text, const std::string& origin,
                            const std::vector<std::uint8_t>& file) {
  Manifest manifest = manifest_of(parsed(text, origin), origin);
  manifest.model.sha256 = sha256_of(file.data(), file.size());
  return manifest;
}

}  // namespace lifeiqa
