// Files: contents, SHA-256 and names.
#pragma once

#include "lifeiqa/lifeiqa.hpp"

namespace lifeiqa {

// SHA-256 as lower-case hexadecimal digits.
std::string sha256_of(const void* data, std::size_t length);

// The contents of a file. Throws an Error with the given code if it cannot be read.
std::vector<std::uint8_t> read_file(const std::string& path, Code code = Code::artifact);

// "models/model.onnx" -> "model.onnx"
std::string name_of(const std::string& path);

}  // namespace lifeiqa
