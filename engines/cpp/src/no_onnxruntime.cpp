// Replaces onnxruntime.cpp in a build without ONNX Runtime.
#include "error.hpp"
#include "runtime.hpp"

namespace lifeiqa {

OpenedModel open_onnx(const std::string& path, const std::vector<std::uint8_t>&, const Options&) {
  fail(Code::missing, path,
       ": this library was built without ONNX Runtime; rebuild it with "
       "-DONNXRUNTIME_ROOT=FOLDER");
}

bool has_onnxruntime() noexcept { return false; }

}  // namespace lifeiqa
