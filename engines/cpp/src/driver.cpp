#include "driver.hpp"

#include <dlfcn.h>

#include "error.hpp"

namespace lifeiqa {
namespace {

constexpr auto driver_name = "libcuda.so.1";
constexpr int capability_major = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int capability_minor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR

// The library of the driver. It is never unloaded, as CUDA requires.
class Driver {
 public:
  Driver() : library_(dlopen(driver_name, RTLD_NOW)) {
    if (library_ == nullptr) {
      fail(Code::device, "no CUDA driver found (", dlerror(),
           "). CUDA needs an NVIDIA GPU and its driver");
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
           ". Check whether nvidia-smi works");
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
    fail(Code::device, "CUDA device 0 was requested, but the driver has ", count,
         " devices: check nvidia-smi, and CUDA_VISIBLE_DEVICES if it is set");
  }
  driver.call("cuDeviceGet", &device, 0);
  char name[128] = "";
  driver.call("cuDeviceGetName", &name[0], static_cast<int>(sizeof name), device);
  driver.call("cuDeviceGetAttribute", &major, capability_major, device);
  driver.call("cuDeviceGetAttribute", &minor, capability_minor, device);
  return {name, std::to_string(major) + "." + std::to_string(minor)};
}

}  // namespace lifeiqa
