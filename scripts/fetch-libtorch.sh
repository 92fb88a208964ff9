#!/usr/bin/env bash
# Puts LibTorch into .libtorch/ of this checkout. No GPU, CUDA toolkit or importable Python torch is needed.
#
#   scripts/fetch-libtorch.sh          smallest set that links and runs on a CPU (libtorch_cpu, libc10, cudart/cupti)
#   scripts/fetch-libtorch.sh cuda     the whole CUDA build with its NVIDIA libraries, for GPU machines
#   LIBTORCH_FROM=SITE_PACKAGES scripts/fetch-libtorch.sh   links to an installed torch of the same version
#
# Every wheel is pinned by version and SHA-256. Running it again when all is there does nothing.
set -euo pipefail
TORCH=2.11.0
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dst="$root/.libtorch"
mode=${1:-cpu}
[ -n "$mode" ] || mode=cpu
[ -n "${LIBTORCH_FROM:-}" ] && mode="linked:$LIBTORCH_FROM"
stamp="$mode-$TORCH-1"

if [ -n "${LIBTORCH:-}" ] && [ -z "${1:-}" ] && [ -z "${LIBTORCH_FROM:-}" ] && [ "$LIBTORCH" != "$dst/torch" ]; then
  [ -d "$LIBTORCH/lib" ] || { echo "fetch-libtorch: LIBTORCH=$LIBTORCH has no lib/ folder; unset it, or point it at a LibTorch $TORCH" >&2; exit 1; }
  echo "libtorch: using LIBTORCH=$LIBTORCH"
  exit 0
fi
if [ "$(cat "$dst/.stamp" 2>/dev/null)" = "$stamp" ]; then
  echo "libtorch: $stamp is already in .libtorch/"
  exit 0
fi
python3 -m pip --version >/dev/null 2>&1 || { echo "fetch-libtorch: python3 with pip is needed (Debian/Ubuntu: apt-get install python3-pip)" >&2; exit 1; }

tmp="$dst.tmp"
rm -rf "$tmp"
mkdir -p "$tmp"
quiet=-q
[ -t 2 ] && quiet=          # a progress bar on a terminal, plain lines elsewhere

case "$mode" in
linked:*)
  have=$(sed -n "s/^__version__ = '\([0-9.]*\).*/\1/p" "$LIBTORCH_FROM/torch/version.py" 2>/dev/null || true)
  [ "$have" = "$TORCH" ] || { echo "fetch-libtorch: $LIBTORCH_FROM holds torch '${have:-none}', but $TORCH is needed; install torch==$TORCH there" >&2; exit 1; }
  ln -s "$LIBTORCH_FROM/torch" "$tmp/torch"
  if [ -d "$LIBTORCH_FROM/nvidia" ]; then ln -s "$LIBTORCH_FROM/nvidia" "$tmp/nvidia"; fi
  ;;
cuda)
  echo "libtorch: fetching torch $TORCH with its CUDA libraries (about 2.8 GB)"
  python3 -m pip install $quiet --no-cache-dir --target "$tmp" "torch==$TORCH"
  ;;
cpu)
  echo "libtorch: fetching torch $TORCH (544 MB, of which 504 MB stay)"
  cat >"$tmp/pins.txt" <<'PINS'
torch==2.11.0 --hash=sha256:0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
PINS
  # One fixed interpreter and platform tag, so that any python3 with pip can fetch it: the C++ libraries are the same in each wheel.
  python3 -m pip download $quiet --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
    --python-version 3.12 --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d "$tmp/wheels" -r "$tmp/pins.txt"
  echo "libtorch: unpacking"
  python3 - "$tmp/wheels" "$tmp" <<'PY'
import glob, sys, zipfile
wheels, dst = sys.argv[1:]
keep = ("torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libgomp.so.1", "torch/include/", "torch/version.py",
        "nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcupti.so.13")
for name in sorted(glob.glob(wheels + "/*.whl")):
    with zipfile.ZipFile(name) as z:
        for member in z.namelist():
            if member.startswith(keep):
                z.extract(member, dst)
# torch-sys always passes -ltorch; the wheel's libtorch.so needs libtorch_cuda.so, so a linker script stands in its place.
with open(dst + "/torch/lib/libtorch.so", "w") as f:
    f.write("INPUT(libtorch_cpu.so libc10.so)\n")
PY
  rm -rf "$tmp/wheels" "$tmp/pins.txt"
  ;;
*)
  echo "fetch-libtorch: unknown mode '$mode' (cpu or cuda)" >&2
  exit 1
  ;;
esac
echo "$stamp" >"$tmp/.stamp"
rm -rf "$dst"
mv "$tmp" "$dst"
echo "libtorch: ready in .libtorch/ ($(du -shL "$dst" 2>/dev/null | cut -f1))"
