// In place of tensorrt.cpp where the library is built without it.
#include "error.hpp"
#include "runtime.hpp"

namespace lifeiqa {

Opened open_engine(const std::string& path, const std::vector<std::uint8_t>& file, const Options&) {
  manifest_from_sidecar(path, file);  // what is wrong with the file is said first
  fail(Code::missing, path,
       ": this library was built without TensorRT; build it with "
       "-DTENSORRT_ROOT=FOLDER");
}

bool has_tensorrt() noexcept { return false; }

}  // namespace lifeiqa
