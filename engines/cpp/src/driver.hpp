// The CUDA driver, asked before anything that would crash without one.
#pragma once

#include <string>

namespace lifeiqa {

struct Device {
  std::string name;
  std::string compute_capability;  // "8.9"
};

// The first device. Throws Error(device) where there is no driver or none. Needs no CUDA to build.
Device cuda_device();

}  // namespace lifeiqa
