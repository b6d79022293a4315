# Finds TensorRT or TensorRT-RTX in the folder of a release, and the CUDA runtime that it needs.
find_path(TENSORRT_INCLUDE_DIR NvInferRuntime.h HINTS ${TENSORRT_ROOT} PATH_SUFFIXES include)
find_library(TENSORRT_LIBRARY NAMES nvinfer tensorrt_rtx HINTS ${TENSORRT_ROOT} PATH_SUFFIXES lib lib64)
find_path(CUDART_INCLUDE_DIR cuda_runtime_api.h
  HINTS ${TENSORRT_ROOT} ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES include)
find_library(CUDART_LIBRARY cudart
  HINTS ${TENSORRT_ROOT} ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES lib lib64)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TensorRT
  REQUIRED_VARS TENSORRT_LIBRARY TENSORRT_INCLUDE_DIR CUDART_LIBRARY CUDART_INCLUDE_DIR)
if(TensorRT_FOUND AND NOT TARGET TensorRT::TensorRT)
  add_library(TensorRT::TensorRT UNKNOWN IMPORTED)
  set_target_properties(TensorRT::TensorRT PROPERTIES
    IMPORTED_LOCATION "${TENSORRT_LIBRARY}"
    INTERFACE_LINK_LIBRARIES "${CUDART_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${TENSORRT_INCLUDE_DIR};${CUDART_INCLUDE_DIR}")
  if(TENSORRT_LIBRARY MATCHES "tensorrt_rtx")
    set_property(TARGET TensorRT::TensorRT PROPERTY
      INTERFACE_COMPILE_DEFINITIONS LIFEIQA_TENSORRT_RTX)
  endif()
endif()
mark_as_advanced(
  TENSORRT_INCLUDE_DIR TENSORRT_LIBRARY CUDART_INCLUDE_DIR CUDART_LIBRARY)
