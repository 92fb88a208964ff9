#!/usr/bin/env bash
# What a fresh Debian or Ubuntu machine with Rust, Python 3 and a C++ compiler lacks. Running it again does nothing.
#   scripts/setup.sh [cuda]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
command -v cargo >/dev/null || { echo "setup: Rust is needed: see rust-toolchain.toml for the version" >&2; exit 1; }
command -v c++ >/dev/null || missing+=(g++)
command -v python3 >/dev/null || missing+=(python3)
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
python3 -c 'import ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)
command -v git >/dev/null || missing+=(git)
# Ranks over MPI (feature `mpi` of worker): the library, and libclang for its bindings.
command -v mpicc >/dev/null || missing+=(libopenmpi-dev)
command -v mpirun >/dev/null || missing+=(openmpi-bin)
if [ -z "${LIBCLANG_PATH:-}" ] && ! { command -v clang >/dev/null && ldconfig -p | grep libclang >/dev/null; }; then
  missing+=(clang libclang-dev)
fi

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing ${missing[*]}"
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=400 install -q -y --no-install-recommends "${missing[@]}"
  else
    echo "setup: these packages are missing: ${missing[*]}" >&2
    echo "setup: install them (Debian/Ubuntu: sudo apt-get install ${missing[*]}) and run this again" >&2
    exit 1
  fi
fi
scripts/fetch-libtorch.sh "${1:-}"
