#!/usr/bin/env bash
# The whole chain on synthetic smears, in minutes: smears → shards → training → probes → a table of ablations with verdicts.
#   scripts/quickstart.sh FOLDER BIN [SEED]
# SEED draws other smears (default 0). Run it again after an interruption: it continues.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$1 bin=$2 seed=${3:-0}
sweep=configs/sweeps/quickstart.yaml
start=$SECONDS
step() { printf '\n== %s\n' "$*"; }

step "1/5 drawing synthetic smears (4 laboratories, 9 cell shapes, no real image) into $out/smears"
[ -f "$out/smears/README.md" ] || "$bin/shard-builder" synth --out "$out/smears" --scale quickstart --seed "$seed"

step "2/5 cutting their cells into Parquet shards"
# Drawn cells look alike: near-copies are searched only among the evaluation cells, whose folds must not share any.
"$bin/shard-builder" build "$out/smears/sources" --data "$out/smears/data" --product cells --near-copies ignore --out "$out/training-cells"
"$bin/shard-builder" build "$out/smears/eval-sources" --data "$out/smears/data" --product cells --out "$out/cells"
[ -f "$out/cells/splits/grouped.parquet" ] ||
  "$bin/shard-builder" split "$out/cells" --name grouped --kind grouped-kfold --folds 3 --seed 0

step "3/5 checking digests, counts, splits, and that no training image is an evaluation image"
"$bin/shard-builder" verify "$out/training-cells"
"$bin/shard-builder" verify "$out/cells"
"$bin/shard-builder" show "$out/cells" --contact-sheet "$out/cells.png" --samples 9

# A sweep with `evidence: true` starts only after this check.
"$bin/shard-builder" leaks "$out/training-cells" "$out/cells"

step "4/5 training and probing: 3 arms × 4 seeds, on synthetic cells"
"$bin/orchestrator" sweep "$sweep" --retry-failed --store "$out/store" --shards "train=$out/training-cells" --shards "synthetic-cells=$out/cells"

step "5/5 done in $((SECONDS - start)) s"
newest() { ls -d -t "$@" | head -n 1; }
echo "pictures: $out/cells.png and $(newest "$out"/store/sweeps/quickstart-synthetic/*/tables/*/figure-*.svg)"
echo "the table again: $bin/orchestrator results quickstart-synthetic --store $out/store"
echo "each step explained, and your own smears: docs/tutorial.md"
echo "open the report: $(newest "$out"/store/sweeps/quickstart-synthetic/*/tables/*/report.html)"
