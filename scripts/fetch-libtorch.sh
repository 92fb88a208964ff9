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

# The wheels, by version and SHA-256. All of CUDA's are those that torch's own metadata names.
torch_pin='torch==2.11.0 --hash=sha256:0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756'
runtime_pins='
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
'
cuda_pins='
nvidia-cublas==13.1.0.3 --hash=sha256:ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171
nvidia-cuda-nvrtc==13.0.88 --hash=sha256:ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575
nvidia-cudnn-cu13==9.19.0.56 --hash=sha256:d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf
nvidia-cufft==12.0.0.61 --hash=sha256:6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3
nvidia-cufile==1.15.1.6 --hash=sha256:08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44
nvidia-curand==10.4.0.35 --hash=sha256:1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc
nvidia-cusolver==12.0.4.66 --hash=sha256:0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112
nvidia-cusparse==12.6.3.3 --hash=sha256:2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b
nvidia-cusparselt-cu13==0.8.0 --hash=sha256:25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd
nvidia-nccl-cu13==2.28.9 --hash=sha256:e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42
nvidia-nvjitlink==13.0.88 --hash=sha256:13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b
nvidia-nvshmem-cu13==3.4.5 --hash=sha256:290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80
nvidia-nvtx==13.0.85 --hash=sha256:4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4
'
# One fixed interpreter and platform tag, so that any python3 with pip can fetch them: the C++ libraries are the same in each.
wheels() { # PINS, then pip's verb and options
  printf '%s\n' "$1" >"$tmp/pins.txt"
  shift
  python3 -m pip "$@" $quiet --no-cache-dir --no-deps --only-binary=:all: --require-hashes --python-version 3.12 \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 \
    --platform manylinux_2_18_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -r "$tmp/pins.txt"
  rm "$tmp/pins.txt"
}

case "$mode" in
linked:*)
  have=$(sed -n "s/^__version__ = '\([0-9.]*\).*/\1/p" "$LIBTORCH_FROM/torch/version.py" 2>/dev/null || true)
  [ "$have" = "$TORCH" ] || { echo "fetch-libtorch: $LIBTORCH_FROM holds torch '${have:-none}', but $TORCH is needed; install torch==$TORCH there" >&2; exit 1; }
  ln -s "$LIBTORCH_FROM/torch" "$tmp/torch"
  if [ -d "$LIBTORCH_FROM/nvidia" ]; then ln -s "$LIBTORCH_FROM/nvidia" "$tmp/nvidia"; fi
  ;;
cuda)
  echo "libtorch: fetching torch $TORCH with its CUDA libraries (about 2.4 GB)"
  wheels "$torch_pin$runtime_pins$cuda_pins" install --root-user-action=ignore --target "$tmp"
  ;;
cpu)
  echo "libtorch: fetching torch $TORCH (544 MB, of which 504 MB stay)"
  wheels "$torch_pin$runtime_pins" download -d "$tmp/wheels"
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
  rm -rf "$tmp/wheels"
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
