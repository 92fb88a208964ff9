#!/usr/bin/env bash
# A training step of ViT-S/14 beside the same step in plain PyTorch, the two in turns, and the machine's matrix rate.
#   bench/step.sh PYTHON BIN [ROUNDS] [PROTOTYPES:THREADS ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 bin=$2 rounds=${3:-5}
settings=("${@:4}")
[ $# -gt 3 ] || settings=(131072:2 131072:1 8192:2 8192:1)
export OMP_WAIT_POLICY=passive
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for setting in "${settings[@]}"; do
  prototypes=${setting%:*} threads=${setting#*:}
  for round in $(seq "$rounds"); do
    echo "K = $prototypes, $threads threads, round $round of $rounds" >&2
    "$bin/worker" bench --prototypes "$prototypes" --threads "$threads" --repeats 1 --json >>"$work/$prototypes.$threads.ours"
    "$python" bench/plain_step.py --prototypes "$prototypes" --threads "$threads" --repeats 1 >>"$work/$prototypes.$threads.plain"
  done
done
"$python" - "$work" <<'PY'
import json, pathlib, statistics, sys
print(f"{'K':>7} {'threads':>7}   {'ours s':>7} {'plain s':>7} {'ratio':>6}   {'ours MB':>7} {'plain MB':>8} {'ratio':>6}   matrix GFLOP/s")
for ours in sorted(pathlib.Path(sys.argv[1]).glob("*.ours"), reverse=True):
    k, threads, _ = ours.name.split(".")
    read = lambda path: [json.loads(line) for line in path.read_text().splitlines()]
    a, b = read(ours), read(ours.with_suffix(".plain"))
    seconds = [statistics.median(s for row in rows for s in row["seconds"]) for rows in (a, b)]
    peak = [statistics.median(row["peak_mb"] for row in rows) for rows in (a, b)]
    rate = statistics.median(row["gflop_per_s"] for row in a)
    print(f"{k:>7} {threads:>7}   {seconds[0]:7.2f} {seconds[1]:7.2f} {seconds[0] / seconds[1]:6.2f}   "
          f"{peak[0]:7.0f} {peak[1]:8.0f} {peak[0] / peak[1]:6.2f}   {rate:.0f}")
PY
