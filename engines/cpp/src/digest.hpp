// SHA-256, by libcrypto.
#pragma once

#include "lifeiqa/lifeiqa.hpp"

namespace lifeiqa {

// In hexadecimal, small letters.
std::string sha256_of(const void* data, std::size_t length);

// A whole file in memory. Throws an Error of the code that is given where it cannot be read.
std::vector<std::uint8_t> contents_of(const std::string& path, Code code = Code::artifact);

}  // namespace lifeiqa
