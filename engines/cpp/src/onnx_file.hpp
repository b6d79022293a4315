// What an ONNX file points to; the twin of lifeiqa/artifacts/onnx_inspect.py.
#pragma once

#include "lifeiqa/lifeiqa.hpp"

namespace lifeiqa {

// Refuses an ONNX file with a tensor that lies in another file: no sum covers that one, and whether
// it lies in the model's folder is left to the version of a runtime. Sizes are left to the runtime.
// Throws an Error that names the path; also where the file is no ONNX model that can be followed.
void require_one_file(const std::string& path, const std::vector<std::uint8_t>& file);

}  // namespace lifeiqa
