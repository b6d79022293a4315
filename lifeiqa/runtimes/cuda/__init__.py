"""The CUDA driver and runtime: devices, memory, streams, graphs, arrays of other libraries."""
