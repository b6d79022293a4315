#include "error.hpp"

#include <algorithm>

namespace lifeiqa {

Error::~Error() = default;

Status current_status() noexcept {
  // Copying the message needs memory, which may have run out. Then the message stays empty.
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
      status.message = "out of memory";
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

std::string quoted(const std::string& text) { return "'" + text + "'"; }

std::string joined(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + text;
  return list;
}

void require_choice(const std::string& name, const std::string& value,
                    const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  fail(Code::config, name, " is ", quoted(value), ": choose one of ", joined(choices));
}

}  // namespace lifeiqa
