#!/usr/bin/env bash
# The bundle for a machine with GPUs and a Python that has torch 2.11 for CUDA 13: a stripped worker without MPI, a small shard set,
# configurations, the plain PyTorch step, and bench/gpu/check.py, which does the rest there.
#   scripts/gpu-bundle.sh FOLDER BIN     BIN has shard-builder; WORKER names a worker that is already built (a rehearsal)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$1 bin=$2
limit_mib=60
rm -rf "$folder"
mkdir -p "$folder"
worker=${WORKER:-}
tests=
if [ -z "$worker" ]; then
  target=target/gpu-check
  cargo build --locked --release -p worker --no-default-features --target-dir $target
  worker=$target/release/worker
  tests=$(cargo test --locked --release -p collective --test collective --no-run --target-dir $target --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
fi
strip -o "$folder/worker" "$worker"
[ -z "$tests" ] || strip -o "$folder/collective-tests" "$tests"
smears=$(mktemp -d)
trap 'rm -rf "$smears"' EXIT
"$bin/shard-builder" synth --out "$smears/smears" --seed 3
mkdir "$smears/few"
cp "$smears"/smears/sources/synth-{pink-giemsa,grey-wright,violet-vignette}.yaml "$smears/few/"
"$bin/shard-builder" build "$smears/few" --data "$smears/smears/data" --size 112 --near-copies ignore --out "$folder/shards"
cp configs/train/tiny.yaml "$folder/tiny.yaml"
cp configs/train/reddino-small.yaml "$folder/small.yaml"
cp bench/plain_step.py bench/gpu/check.py "$folder/"
tar -czf "$folder.tar.gz" -C "$(dirname "$folder")" "$(basename "$folder")"
size=$(($(stat -c %s "$folder.tar.gz") / 1048576))
echo "$folder.tar.gz: $size MiB"
[ "$size" -lt $limit_mib ] || { echo "the bundle must stay below $limit_mib MiB" >&2; exit 1; }
