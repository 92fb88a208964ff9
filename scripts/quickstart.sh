#!/usr/bin/env bash
# The main job, small, end to end: synthetic smears → shards → training → probes → a table of ablations.
#   scripts/quickstart.sh FOLDER BIN
# Started again after an interruption it goes on where it was.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$1 bin=$2
start=$SECONDS
step() { printf '\n== %s\n' "$*"; }

step "1/5 drawing synthetic smears (18 sources, 9 cell shapes, no real image) into $out/smears"
[ -f "$out/smears/README.md" ] || "$bin/shard-builder" synth --out "$out/smears" --seed 0

step "2/5 cutting them into Parquet shards"
"$bin/shard-builder" build "$out/smears/sources" --data "$out/smears/data" --product patches --size 112 --out "$out/patches"
"$bin/shard-builder" build "$out/smears/eval-sources" --data "$out/smears/data" --product cells --out "$out/cells"
[ -f "$out/cells/splits/grouped.parquet" ] ||
  "$bin/shard-builder" split "$out/cells" --name grouped --kind grouped-kfold --folds 3 --seed 0

step "3/5 checking digests, counts and splits"
"$bin/shard-builder" verify "$out/patches"
"$bin/shard-builder" verify "$out/cells"
"$bin/shard-builder" show "$out/cells" --contact-sheet "$out/cells.png" --samples 9

step "4/5 training and probing: 3 arms × 2 seeds"
"$bin/orchestrator" sweep configs/sweeps/quickstart.yaml --store "$out/store"

step "5/5 done in $((SECONDS - start)) s"
newest() { ls -d -t "$@" | head -n 1; }
echo "pictures: $out/cells.png and $(newest "$out"/store/sweeps/quickstart/*/tables/*/figure-*.svg)"
echo "go on with:"
echo "  $bin/orchestrator results configs/sweeps/quickstart.yaml"
echo "  $bin/worker verify $(newest "$out"/store/trials/*/seed-0/run)"
