// Queries the CUDA driver before any library that would crash without one is used.
#pragma once

#include <string>

namespace lifeiqa {

struct Device {
  std::string name;
  std::string compute_capability;  // "8.9"
};

// The first CUDA device. Throws Error(device) without a driver or a device. The driver is loaded at
// run time, so that building does not need CUDA.
Device cuda_device();

}  // namespace lifeiqa
