#!/usr/bin/env bash
# The quickstart on five drawings of its synthetic smears, and one table of their verdicts.
#   scripts/measure-quickstart.sh FOLDER BIN
# Run it again after an interruption: it continues.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$1 bin=$2
mkdir -p "$out"
tables=()
for seed in 0 1 2 3 4; do
  echo "drawing $seed" >&2
  log=$out/drawing-$seed.log table=$out/drawing-$seed.csv
  scripts/quickstart.sh "$out/drawing-$seed" "$bin" "$seed" >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
  "$bin/orchestrator" results quickstart-synthetic --store "$out/drawing-$seed/store" --format csv >"$table"
  tables+=("$table")
done
python3 scripts/quickstart_verdicts.py "${tables[@]}"
