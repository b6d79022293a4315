#!/usr/bin/env bash
# Builds the library and examples/cpp with the ONNX Runtime of a Python environment:
#
#     build.sh PYTHON [PRESET]
#
# The results are build/install and build/example beside this file. With a preset other than release
# they are build/PRESET-install and build/PRESET-example.
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "usage: build.sh PYTHON [PRESET]" >&2
  exit 2
fi
python=$(command -v "$1" || true) preset=${2:-release}
if [ -z "$python" ]; then
  echo "build.sh: Python not found: $1" >&2
  exit 2
fi
python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")
cd "$(dirname "$0")"
build=$PWD/build
prefix=$build/$([ "$preset" = release ] || echo "$preset-")

./onnxruntime.sh "$python" "$build/onnxruntime"
cmake --preset "$preset" -DONNXRUNTIME_ROOT="$build/onnxruntime"
cmake --build "$build/$preset" --parallel 2
cmake --install "$build/$preset" --prefix "${prefix}install"
rm -rf "${prefix}example"  # CMake refuses a folder that was configured for another source folder
cmake -S ../../examples/cpp -B "${prefix}example" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="${prefix}install"
cmake --build "${prefix}example"
