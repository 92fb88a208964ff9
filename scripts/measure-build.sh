#!/usr/bin/env bash
# Where the time of a build goes: seconds of each step with one thread and with two, on drawn fields.
#   scripts/measure-build.sh BIN FOLDER [IMAGES]     IMAGES of each of the 18 training sources, 170 by default (3,060 fields)
set -euo pipefail
bin=$1 out=$2 images=${3:-170}
mkdir -p "$out"
drawn=$out/drawn-$images
[ -d "$drawn/sources" ] || "$bin/shard-builder" synth --out "$drawn" --seed 0 --images "$images"

for jobs in 1 2; do
  set=$out/set-$images-$jobs
  rm -rf "$set"
  log=$out/log-$images-$jobs.txt
  started=$(date +%s.%N)
  RUST_LOG=debug "$bin/shard-builder" build "$drawn/sources" --data "$drawn/data" --product patches --out "$set" --jobs "$jobs" >"$log" 2>&1
  ended=$(date +%s.%N)
  echo "threads: $jobs; whole build: $(echo "$ended - $started" | bc) s"
  grep -oE 'cost (of step|over all threads): .*' "$log" | sed 's/^/  /'
done
cmp <(cd "$out/set-$images-1" && find . -type f | sort | xargs sha256sum) <(cd "$out/set-$images-2" && find . -type f | sort | xargs sha256sum) &&
  echo "both sets have the same bytes"
