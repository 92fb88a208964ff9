#!/usr/bin/env bash
# What two processes cost, beside PyTorch's Gloo in the same run: one thread each.
#   scripts/bench-ranks.sh PYTHON BIN [RANKS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 bin=$2 ranks=${3:-2}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
one() { mpirun --oversubscribe --bind-to none -n "$1" "$bin/worker" bench --ranks --threads 1 --json >"$work/$1.json"; }
one 1
one "$ranks"
"$python" scripts/bench_gloo.py "$ranks" >"$work/gloo.json"
"$python" - "$work/1.json" "$work/$ranks.json" "$work/gloo.json" <<'PY'
import json, sys
one, many, gloo = (json.load(open(path)) for path in sys.argv[1:])
n = many["ranks"]
ours, theirs = many["all_reduce"]["seconds"], gloo["seconds"]
print(f"all-reduce of {many['all_reduce']['elements']:,} f32 on {n} ranks: ours over {many['over'].split(' over ')[-1]} "
      f"{1e3 * ours:.0f} ms, PyTorch {gloo['torch']} Gloo {1e3 * theirs:.0f} ms, ratio {ours / theirs:.2f}")
a, b = one["step"], many["step"]
print(f"weak scaling 1 -> {n} ranks, ViT-S/14, {a['images_per_rank']} images and one thread a rank: "
      f"{a['seconds']:.3f} -> {b['seconds']:.3f} s/step, efficiency {a['seconds'] / b['seconds']:.2f}")
print(f"gradients: {b['all_reduce_bytes'] / 2**20:.0f} MiB a step, all-reduce {1e3 * b['all_reduce_s']:.0f} ms, "
      f"{100 * b['hidden']:.0f} % of it behind backward ({1e3 * b['exposed_s']:.0f} ms not)")
PY
