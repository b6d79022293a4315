// Replaces tensorrt.cpp in a build without TensorRT.
#include "error.hpp"
#include "runtime.hpp"

namespace lifeiqa {

std::unique_ptr<Runtime> open_engine(const std::string& path, const std::vector<std::uint8_t>&,
                                     const Manifest&) {
  fail(Code::missing, path,
       ": this library was built without TensorRT; rebuild it with -DTENSORRT_ROOT=FOLDER");
}

std::string built_tensorrt() { return ""; }

}  // namespace lifeiqa
