#include "driver.hpp"

#include <dlfcn.h>

#include "error.hpp"

namespace lifeiqa {
namespace {

constexpr auto driver_name = "libcuda.so.1";
constexpr int major_attribute = 75,
              minor_attribute = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_

// The driver's own library, loaded for as long as the process lives, as CUDA wants it.
class Driver {
 public:
  Driver() : library_(dlopen(driver_name, RTLD_NOW)) {
    if (library_ == nullptr) {
      fail(Code::device, "there is no CUDA driver here (", dlerror(),
           "). This needs an NVIDIA GPU and its driver; an ONNX file is scored without them, with "
           "provider cpu");
    }
  }

  template <typename... Arguments>
  void call(const char* function, Arguments... arguments) const {
    void* const found = dlsym(library_, function);
    if (found == nullptr) {
      fail(Code::device, driver_name, " has no ", function, ": update the driver");
    }
    const int status = reinterpret_cast<int (*)(Arguments...)>(found)(arguments...);
    if (status != 0) {
      fail(Code::device, function, " of ", driver_name, " failed: error ", status, meaning(status),
           ". See whether nvidia-smi works");
    }
  }

 private:
  std::string meaning(int status) const {
    const char* text = nullptr;
    void* const found = dlsym(library_, "cuGetErrorString");
    if (found != nullptr) reinterpret_cast<int (*)(int, const char**)>(found)(status, &text);
    return text != nullptr ? std::string(", ") + text : "";
  }

  void* library_;
};

}  // namespace

Device cuda_device() {
  const Driver driver;
  driver.call("cuInit", 0u);
  int count = 0, device = 0, major = 0, minor = 0;
  driver.call("cuDeviceGetCount", &count);
  if (count < 1) {
    fail(Code::device, "CUDA device 0 was asked for, and the driver has ", count,
         ": see nvidia-smi, and CUDA_VISIBLE_DEVICES where it is set");
  }
  driver.call("cuDeviceGet", &device, 0);
  char name[128] = "";
  driver.call("cuDeviceGetName", &name[0], static_cast<int>(sizeof name), device);
  driver.call("cuDeviceGetAttribute", &major, major_attribute, device);
  driver.call("cuDeviceGetAttribute", &minor, minor_attribute, device);
  return {name, std::to_string(major) + "." + std::to_string(minor)};
}

}  // namespace lifeiqa
