#!/usr/bin/env bash
# A training step of ViT-S/14 beside the same step in plain PyTorch and under torch.compile, the three in turns, and the machine's matrix rate.
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
    "$python" bench/plain_step.py --prototypes "$prototypes" --threads "$threads" --repeats 1 --compile \
      >>"$work/$prototypes.$threads.compiled"
  done
done
"$python" - "$work" <<'PY'
import json, pathlib, statistics, sys
read = lambda path: [json.loads(line) for line in path.read_text().splitlines()]
median = lambda rows, of: statistics.median(value for row in rows for value in of(row))
print(f"{'K':>7} {'threads':>7} {'step':>9}   {'s':>7} {'ours/it':>7}   {'peak MB':>7} {'ours/it':>7}   matrix GFLOP/s")
for ours in sorted(pathlib.Path(sys.argv[1]).glob("*.ours"), reverse=True):
    k, threads, _ = ours.name.split(".")
    a = read(ours)
    of_ours = [median(a, of) for of in (lambda row: row["seconds"], lambda row: [row["peak_mb"]])]
    rate = median(a, lambda row: [row["gflop_per_s"]])
    print(f"{k:>7} {threads:>7} {'ours':>9}   {of_ours[0]:7.2f} {'':7}   {of_ours[1]:7.0f} {'':7}   {rate:.0f}")
    for peer in ("plain", "compiled"):
        b = read(ours.with_suffix(f".{peer}"))
        theirs = [median(b, of) for of in (lambda row: row["seconds"], lambda row: [row["peak_mb"]])]
        ratios = [mine / its for mine, its in zip(of_ours, theirs)]
        print(f"{'':7} {'':7} {peer:>9}   {theirs[0]:7.2f} {ratios[0]:7.2f}   {theirs[1]:7.0f} {ratios[1]:7.2f}")
PY
