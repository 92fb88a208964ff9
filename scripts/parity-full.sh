#!/usr/bin/env bash
# One training step at true width and depth, 224 px, beside plain PyTorch (tests/golden/make_width.py): prints the largest difference
# of losses, gradient norms and gradients for each size.
#   scripts/parity-full.sh PYTHON [SIZE ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1
shift
sizes=("$@")
[ $# -gt 0 ] || sizes=(small base large giant)
# What either side needs at most: weights, gradients, moments and what they are made from. Swap counts, and is slow.
declare -A gib=([small]=2 [base]=5 [large]=12 [giant]=26)
memory=$(awk '/MemAvailable|SwapFree/ {sum += $2} END {print int(sum / 1048576)}' /proc/meminfo)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
done=0
for size in "${sizes[@]}"; do
  if [ "$memory" -lt "${gib[$size]}" ]; then
    echo "SKIPPED: $size needs some ${gib[$size]} GiB of memory, $memory are free"
    continue
  fi
  "$python" tests/golden/make_width.py --full "$work" "$size"
  done=$((done + 1))
done
[ "$done" -gt 0 ]
REDDINO_WIDTH="$work" cargo test --locked --workspace --test dino width -- --nocapture
