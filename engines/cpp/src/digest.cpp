#include "digest.hpp"

#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "error.hpp"

namespace lifeiqa {

std::string sha256_of(const void* data, std::size_t length) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned int size = 0;
  if (EVP_Digest(data, length, sum.data(), &size, EVP_sha256(), nullptr) != 1) {
    fail(Code::internal, "libcrypto made no SHA-256");
  }
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned int at = 0; at < size; ++at) {
    text += digits[sum[at] >> 4];
    text += digits[sum[at] & 15];
  }
  return text;
}

std::vector<std::uint8_t> contents_of(const std::string& path, Code code) {
  // A folder opens as a file, and says that it is as long as can be.
  if (std::filesystem::is_directory(path)) fail(code, path, ": ", std::strerror(EISDIR));
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

}  // namespace lifeiqa
