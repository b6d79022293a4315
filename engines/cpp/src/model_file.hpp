// Opening a model file with the runtime that takes it.
#pragma once

#include "runtime.hpp"

namespace lifeiqa {

// Checks the options and the file, and loads the file into its runtime.
//
// Throws Error(config) if the options are invalid or do not fit the file.
OpenedModel open_model(const std::string& path, const Options& options);

}  // namespace lifeiqa
