#include "canonical.hpp"

#include <charconv>
#include <cstdint>

#include "error.hpp"

namespace lifeiqa {
namespace {

// Far more than a manifest needs. It keeps an untrusted file from overflowing the stack.
constexpr int max_depth = 100;

// Python's repr of a float: positional notation for exponents from -4 to 15, scientific otherwise.
std::string float_repr(double value) {
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string text(buffer, end);  // [-]d[.ddd]e+dd
  const std::size_t mark = text.find('e');
  const int exponent = std::stoi(text.substr(mark + 1));
  const std::string sign = text[0] == '-' ? "-" : "";
  std::string digits;
  for (const char each : text.substr(0, mark)) {
    if (each >= '0' && each <= '9') digits += each;
  }
  if (exponent < -4 || exponent > 15) {
    const std::string rest = digits.size() > 1 ? "." + digits.substr(1) : "";
    const std::string power = std::to_string(exponent < 0 ? -exponent : exponent);
    return sign + digits[0] + rest + (exponent < 0 ? "e-" : "e+") +
           (power.size() < 2 ? "0" + power : power);
  }
  if (exponent < 0) {
    return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  const std::string rest = digits.substr(whole);
  return sign + digits.substr(0, whole) + "." + (rest.empty() ? "0" : rest);
}

std::string ascii_json(const nlohmann::json& value) { return value.dump(-1, ' ', true); }

std::string canonical(const nlohmann::json& values, int depth) {
  if (depth > max_depth) fail(Code::artifact, "its values are nested deeper than ", max_depth);
  if (values.is_object()) {
    std::string text = "{";
    for (const auto& [key, value] : values.items()) {  // a std::map, sorted by UTF-8 bytes
      if (text.size() > 1) text += ",";
      text += ascii_json(key) + ":" + canonical(value, depth + 1);
    }
    return text + "}";
  }
  if (values.is_array()) {
    std::string text = "[";
    for (const auto& value : values) {
      if (text.size() > 1) text += ",";
      text += canonical(value, depth + 1);
    }
    return text + "]";
  }
  return values.is_number_float() ? float_repr(values.get<double>()) : ascii_json(values);
}

}  // namespace

std::string canonical(const nlohmann::json& values) { return canonical(values, 0); }

}  // namespace lifeiqa
