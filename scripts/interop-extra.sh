#!/usr/bin/env bash
# Checks against tools that are too large for every run: embedding-atlas opens the features of a shard set with their map.
#   scripts/interop-extra.sh PYTHON BIN
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 bin=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bin/shard-builder" synth --out "$work/smears" --seed 1
"$bin/shard-builder" build "$work/smears/eval-sources" --data "$work/smears/data" --product cells --out "$work/cells"
"$bin/worker" train configs/train/tiny.yaml --shards "$work/cells" --out "$work/run" \
  --set optim.epoch_length=2 --set train.batch_size=8 --set checkpoint.every_steps=2
"$bin/worker" embed --run "$work/run" --shards "$work/cells" --out "$work/features.parquet" --map pca
# The line of docs/reading-sets.md, with an export instead of a server.
"$(dirname "$python")/embedding-atlas" "$work/features.parquet" --x x --y y --disable-projection --export-application "$work/page.zip"
"$python" tests/interop/check_atlas.py "$work/page.zip" "$work/features.parquet"
echo "interop-extra: embedding-atlas has opened the features of the set"
