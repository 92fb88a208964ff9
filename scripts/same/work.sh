#!/usr/bin/env bash
# What `make prove-same` compares: everything the three programs write from fixed seeds.
#   scripts/same/work.sh BIN OUT [DATA]
# BIN holds the programs, OUT is a new folder, DATA (optional) holds real smears, one folder per source.
# It runs inside OUT with relative paths, so that two runs in different places can agree on every byte.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$(cd "$1" && pwd)
mkdir "$2"
data=${3:+$(cd "$3" && pwd)}
cd "$2"
builder=$bin/shard-builder worker=$bin/worker orchestrator=$bin/orchestrator
step() { printf '== %s\n' "$*"; }

step "synthetic smears, patches, cells, a split"
"$builder" synth --out smears --seed 3
"$builder" build smears/sources --data smears/data --product patches --size 112 --out patches
"$builder" build smears/eval-sources --data smears/data --product cells --out cells
"$builder" split cells --name grouped --kind grouped-kfold --folds 3 --seed 0
"$builder" show cells --contact-sheet cells.png --samples 9
"$builder" duplicates smears/sources --data smears/data --out copies
"$builder" verify patches
"$builder" verify cells

step "two training runs: published-like transforms with local crops, and the tiny recipe stopped and resumed"
configs=$root/configs/train
"$worker" train "$configs/tiny-cells.yaml" --shards cells --out run-cells --set train.batch_size=16 --set train.threads=1 \
  --set optim.epoch_length=8 --set checkpoint.every_steps=4 --set model.depth=2 --set loss.koleo_weight=0.1 --set loss.koleo_exclude=same_image
small=(--shards patches --out run-patches --set train.batch_size=16 --set train.threads=1 --set train.loss_groups=2
  --set optim.epoch_length=8 --set checkpoint.every_steps=4 --set model.depth=2 --set loss.n_local=2)
"$worker" train "$configs/tiny.yaml" "${small[@]}" --stop-at 3 || [ $? = 85 ]
"$worker" train "$configs/tiny.yaml" "${small[@]}"
"$worker" plan "$configs/tiny.yaml" --shards patches --steps 3 --world 2 >plan.txt

step "probes, features, exports, views"
"$worker" probe --run run-cells --shards cells --split grouped --threads 1 --train-shards cells --out rows-cells.jsonl
"$worker" embed --run run-patches --shards cells --threads 1 --out features.parquet
for layout in timm huggingface onnx state; do
  "$worker" export --run run-cells --threads 1 --layout "$layout" --shards cells --rows rows-cells.jsonl --out "export-$layout"
done
image=$(find smears/data/synth-teal-camera/images -name '*.jpg' | sort | head -n 1)
"$worker" augment preview --config "$configs/tiny-cells.yaml" --image "$image" --out preview.png

step "a sweep"
# It trains on the cells that it is scored on, and says so: both programs then begin it.
grep -v "^#" "$root/configs/sweeps/quickstart.yaml" | sed -e "s|^base: \.\./train/|base: $configs/|" -e 's|\./quickstart/training-cells|./cells|' \
  -e 's|\./quickstart/|./|g' -e 's|split: grouped }|split: grouped, transductive: true }|' -e 's|epoch_length: .*}|epoch_length: 20 }|' >sweep.yaml
"$orchestrator" sweep sweep.yaml

if [ -n "$data" ]; then
  step "real smears"
  "$builder" build "$root/configs/sources" --data "$data" --allow-missing --product patches --out real-patches
  "$builder" build "$root/configs/sources/chula-rbc-12.yaml" --data "$data" --product cells --out real-cells
  "$builder" segment "$root/configs/sources/chula-rbc-12.yaml" --data "$data" --out real-segments --diameter 40
fi
