// Checks an ONNX file before a runtime opens it. Mirrors lifeiqa/artifacts/onnx_inspect.py.
#pragma once

#include "lifeiqa/lifeiqa.hpp"

namespace lifeiqa {

// Refuses an ONNX file that uses external data: no checksum covers the other file, and not every
// release of ONNX Runtime checks that it is in the model's folder. Does not check the sizes of
// tensors. Throws Error(artifact), also if the file is not a valid ONNX model.
void require_one_file(const std::string& path, const std::vector<std::uint8_t>& file);

}  // namespace lifeiqa
