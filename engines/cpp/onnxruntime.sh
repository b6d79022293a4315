#!/usr/bin/env bash
# Puts the headers and the library of ONNX Runtime into one folder, for -DONNXRUNTIME_ROOT=FOLDER:
#
#     onnxruntime.sh PYTHON FOLDER
#
# The library is that of PYTHON's package onnxruntime, so that C++ and Python give the same scores.
# The package has no headers. They come from the Debian package libonnxruntime-dev of trixie, which is
# downloaded from the configured mirror and unpacked, not installed.
#
# With a release of ONNX Runtime this script is not needed: pass the folder of the release.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: onnxruntime.sh PYTHON FOLDER" >&2
  exit 2
fi
python=$1 folder=$2
mkdir -p "$folder/lib"

library=$("$python" - <<'FIND'
import importlib.util, pathlib
spec = importlib.util.find_spec("onnxruntime")
found = sorted(pathlib.Path(spec.origin).parent.glob("capi/libonnxruntime.so*")) if spec else []
print(found[-1] if found else "")
FIND
)
if [ -z "$library" ]; then
  echo "onnxruntime.sh: $python has no onnxruntime. Install it: pip install 'lifeiqa[cpu]'" >&2
  exit 1
fi
ln -sf "$library" "$folder/lib/libonnxruntime.so.1"
ln -sf libonnxruntime.so.1 "$folder/lib/libonnxruntime.so"

if [ -e "$folder/include/onnxruntime_cxx_api.h" ]; then
  exit 0
fi
if ! command -v apt-get > /dev/null; then
  echo "onnxruntime.sh: apt-get not found. Copy the headers of a release of ONNX Runtime that is not" \
    "newer than the library to $folder/include" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"  # apt downloads as another user
mkdir -p "$work/lists/partial" "$work/archives/partial"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' | head -1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" \
  > "$work/sources.list"
options=(-q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=-
  -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User=root)
(
  cd "$work"
  apt-get "${options[@]}" update > apt.log 2>&1 &&
    apt-get "${options[@]}" download libonnxruntime-dev >> apt.log 2>&1 || {
    cat apt.log >&2
    echo "onnxruntime.sh: cannot download libonnxruntime-dev of trixie from $mirror" >&2
    exit 1
  }
  dpkg-deb -x libonnxruntime-dev_*.deb unpacked
)
mkdir -p "$folder/include"
cp -r "$work/unpacked/usr/include/onnxruntime/." "$folder/include"
