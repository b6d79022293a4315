// In place of onnxruntime.cpp where the library is built without it.
#include "error.hpp"
#include "runtime.hpp"

namespace lifeiqa {

Opened open_onnx(const std::string& path, const std::vector<std::uint8_t>&, const Options&) {
  fail(Code::missing, path,
       ": this library was built without ONNX Runtime; build it with "
       "-DONNXRUNTIME_ROOT=FOLDER");
}

bool has_onnxruntime() noexcept { return false; }

}  // namespace lifeiqa
