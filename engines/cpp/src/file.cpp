#include "file.hpp"

#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "error.hpp"

namespace lifeiqa {

std::string sha256_of(const void* data, std::size_t length) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(data, length, digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    fail(Code::internal, "libcrypto could not compute a SHA-256");
  }
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned int at = 0; at < size; ++at) {
    text += digits[digest[at] >> 4];
    text += digits[digest[at] & 15];
  }
  return text;
}

std::vector<std::uint8_t> read_file(const std::string& path, Code code) {
  std::error_code ignored;  // of a missing file, which opening reports
  const std::filesystem::file_status status = std::filesystem::status(path, ignored);
  // A directory can be opened as a file, and then reports a huge size.
  if (std::filesystem::is_directory(status)) {
    fail(code, path, ": ", std::strerror(EISDIR));
  }
  // Opening a pipe may wait forever.
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    fail(code, path, ": a pipe, a socket or a device, not a regular file");
  }
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file ? static_cast<std::streamoff>(file.tellg()) : -1;
  if (size < 0) fail(code, path, ": ", std::strerror(errno));
  std::vector<std::uint8_t> data(static_cast<std::size_t>(size));
  file.seekg(0);
  if (size > 0 && !file.read(reinterpret_cast<char*>(data.data()), size)) {
    fail(code, path, ": ", std::strerror(errno));
  }
  return data;
}

std::string name_of(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

}  // namespace lifeiqa
