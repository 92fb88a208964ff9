#!/usr/bin/env bash
# Checks against the real things: pyarrow, DuckDB, Hugging Face datasets read our shards; timm, transformers and onnxruntime load our
# exports.
#   scripts/interop.sh PYTHON BIN
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 bin=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 HF_DATASETS_CACHE="$work/hf" HF_HOME="$work/hf"
passed=0
check() { echo "interop: $1"; shift; "$@"; passed=$((passed + 1)); }

check "every file of configs/ holds under its JSON schema" "$python" tests/interop/check_schemas.py configs
"$bin/shard-builder" synth --out "$work/smears" --seed 1
"$bin/shard-builder" build "$work/smears/eval-sources" --data "$work/smears/data" --product cells --out "$work/cells"
check "pyarrow, DuckDB and datasets open the shard set" "$python" tests/interop/check_shards.py "$work/cells"
check "the lines of docs/reading-sets.md run" "$python" tests/interop/check_reading.py docs/reading-sets.md "$work/cells"
"$bin/shard-builder" build "$work/smears/eval-sources" --data "$work/smears/data" --product cells --out "$work/split" --splits grouped
check "datasets gives train and test of a set with splits apart" "$python" tests/interop/check_splits.py "$work/split"

"$bin/worker" train configs/train/tiny.yaml --shards "$work/cells" --out "$work/run" \
  --set optim.epoch_length=4 --set train.batch_size=8 --set checkpoint.every_steps=2 --set model.layerscale_init=1.0
"$bin/worker" export --run "$work/run" --out "$work/export"
"$bin/worker" embed --run "$work/run" --shards "$work/cells" --out "$work/features.parquet"
check "timm loads the export and gives the same features" \
  "$python" tests/interop/check_export.py "$work/export" "$work/cells" "$work/features.parquet"
for method in pca umap; do
  "$bin/worker" embed --run "$work/run" --shards "$work/cells" --out "$work/$method.parquet" --map "$method"
done
check "pyarrow reads the places on a map" \
  "$python" tests/interop/check_map.py "$work/features.parquet" "$work/pca.parquet" "$work/umap.parquet"
for layout in huggingface onnx; do
  "$bin/worker" export --run "$work/run" --out "$work/export-$layout" --layout "$layout" --shards "$work/cells"
  check "the $layout export gives the same features" \
    "$python" tests/interop/check_export_layouts.py "$layout" "$work/export-$layout" "$work/cells" "$work/features.parquet"
done
"$bin/worker" export --run "$work/run" --out "$work/export-98" --layout onnx --size 98
check "ONNX at another size is the backbone there" \
  "$python" tests/interop/check_export_layouts.py size "$work/export-98" "$work/export"
"$bin/shard-builder" split "$work/cells" --name grouped --kind grouped-kfold --folds 3 --seed 0
"$bin/worker" probe --run "$work/run" --shards "$work/cells" --split grouped --no-random --no-histogram --bootstrap 0 \
  --evaluations optimum --out "$work/rows-cells.jsonl"
check "scikit-learn computes the rows from the predictions that pyarrow reads" \
  "$python" tests/interop/check_predictions.py "$work/predictions-cells.parquet" "$work/rows-cells.jsonl" "$work/cells"
"$bin/worker" train configs/train/tiny.yaml --shards "$work/cells" --out "$work/registers" --set optim.epoch_length=2 \
  --set train.batch_size=4 --set model.registers=4 --set model.ffn=swiglu --set model.layerscale_init=1.0
"$bin/worker" embed --run "$work/registers" --shards "$work/cells" --out "$work/registers.parquet"
for layout in huggingface onnx; do
  "$bin/worker" export --run "$work/registers" --out "$work/registers-$layout" --layout "$layout"
  check "with registers and SwiGLU, the $layout export gives the same features" \
    "$python" tests/interop/check_export_layouts.py "$layout" "$work/registers-$layout" "$work/cells" "$work/registers.parquet"
done

tiny=(--shards "$work/cells" --out "$work/watched" --set optim.epoch_length=6 --set train.batch_size=8 --set log.every_steps=1
  --set checkpoint.every_steps=2 --set log.tensorboard="$work/live" --set log.prometheus="$work/reddino.prom")
"$bin/worker" train configs/train/tiny.yaml "${tiny[@]}" --stop-at 4 || [ $? = 85 ]
# As if the last checkpoint had been lost: steps 2 and 3 are done again.
rm "$work"/watched/checkpoints/00000004-*
"$bin/worker" train configs/train/tiny.yaml "${tiny[@]}"
"$bin/worker" metrics --run "$work/watched" --tensorboard "$work/later"
check "TensorBoard and Prometheus read the metrics" \
  "$python" tests/interop/check_metrics.py "$work/watched" "$work/live" "$work/later" "$work/reddino.prom"

for folder in docs/results/*/; do
  [ -f "$folder/predicted.parquet" ] || continue
  check "scikit-learn computes the scores in $folder from the predictions there" "$python" tests/interop/check_kept_results.py "$folder"
done
for script in tests/golden/check_*.py; do
  [ -f "$script" ] && check "$script" "$python" "$script"
done
echo "interop: $passed passed, 0 failed"
