#include "error.hpp"

namespace lifeiqa {

Error::~Error() = default;

Status current_status() noexcept {
  // A message is copied into a Status, and memory for that may be short too.
  Status status{Code::internal, {}};
  try {
    throw;
  } catch (const Error& error) {
    status.code = error.code();
    try {
      status.message = error.what();
    } catch (...) {
    }
  } catch (const std::bad_alloc&) {
    try {
      status.message = "memory ran out";
    } catch (...) {
    }
  } catch (const std::exception& error) {
    try {
      status.message = error.what();
    } catch (...) {
    }
  } catch (...) {
  }
  return status;
}

std::string with_commas(std::int64_t number) {
  std::string text = std::to_string(number);
  for (int at = static_cast<int>(text.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3) {
    text.insert(static_cast<std::size_t>(at), ",");
  }
  return text;
}

std::string in_quotes(const std::string& text) { return "'" + text + "'"; }

}  // namespace lifeiqa
