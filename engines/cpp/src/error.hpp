// Throwing an error with a text made of parts, and turning whatever is thrown into a Status.
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
  text.imbue(std::locale::classic());  // whatever the program's own does to numbers
  (text << ... << parts);
  throw Error(code, text.str());
}

// The Status of the exception that is being handled.
Status current_status() noexcept;

// The Result of a function that throws.
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

// As Python writes a text in an error: 'text'
std::string in_quotes(const std::string& text);

}  // namespace lifeiqa
