// Throwing an error with a message made of parts, and turning any exception into a Status.
#pragma once

#include <exception>
#include <locale>
#include <new>
#include <sstream>

#include "lifeiqa/lifeiqa.hpp"

namespace lifeiqa {

template <typename... Parts>
[[noreturn]] void fail(Code code, const Parts&... parts) {
  std::ostringstream text;
  text.imbue(std::locale::classic());  // the program's own locale may format numbers differently
  (text << ... << parts);
  throw Error(code, text.str());
}

// The Status of the exception that is being handled.
Status current_status() noexcept;

// Calls a function that may throw. Returns its value or the error as a Result.
template <typename Function>
auto guarded(Function&& function) noexcept -> Result<decltype(function())> {
  try {
    return function();
  } catch (...) {
    return current_status();
  }
}

// 128000000 -> "128,000,000"
std::string with_commas(std::int64_t number);

// text -> 'text', as Python's repr does
std::string quoted(const std::string& text);

// {"a", "b"} -> "a, b"
std::string joined(const std::vector<std::string>& texts);

// Throws Error(config) unless the value of a setting is one of the choices.
void require_choice(const std::string& name, const std::string& value,
                    const std::vector<std::string>& choices);

}  // namespace lifeiqa
