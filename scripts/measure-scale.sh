#!/usr/bin/env bash
# Time and peak memory of a set as large as the published training set, of tiny pixels: 1,250,781 patches of 8 × 8 px.
#   scripts/measure-scale.sh BIN FOLDER
# The set is built, split, verified, planned and read for one step of a tiny model. Needs 3 GB of disk.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$1 out=$2
mkdir -p "$out/data/tiny-px"
python3 - "$out/data/tiny-px" <<'PY'
import pathlib, random, struct, sys
# 63 images of 140 × 140 patches, and one of 761 × 21: 1,250,781 in all. BMP, so that nothing but Python is needed.
sizes = [(1120, 1120)] * 63 + [(6088, 168)]
for number, (width, height) in enumerate(sizes):
    path = pathlib.Path(sys.argv[1], f"slide{number % 16:02}_field{number:02}.bmp")
    if path.exists():
        continue
    rng = random.Random(number)
    line = -(-3 * width // 4) * 4
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54 + line * height, 0, 0, 54, 40, width, height, 1, 24, 0, line * height, 2835, 2835, 0, 0)
    path.write_bytes(head + rng.randbytes(line * height))
PY
cat >"$out/tiny-px.yaml" <<'YAML'
name: tiny-px
title: Noise of many tiny patches
home: none
licence: CC0-1.0
citation: none
modality: drawn
membership: synthetic
images: { include: ["*.bmp"] }
group: { by: pattern, pattern: '^(slide\d+)_' }
YAML
sed -e 's/batch_size: 64/batch_size: 8/' configs/train/tiny.yaml >"$out/tiny.yaml"
rm -rf "$out/set" "$out/run"
measured() {
  python3 - "$out" "$@" <<'PY'
import resource, subprocess, sys, time
out, name, *command = sys.argv[1:]
began = time.monotonic()
with open(f"{out}/{name}.txt", "w") as log:
    code = subprocess.run(command, stdout=log, stderr=log).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
seconds = time.monotonic() - began
print(f"{name:12} {seconds:7.1f} s, {used.ru_utime + used.ru_stime:7.1f} s of processor, {used.ru_maxrss / 1024:6.0f} MB, status {code}", flush=True)
PY
}
set=$out/set
measured build "$bin/shard-builder" build "$out/tiny-px.yaml" --root "tiny-px=$out/data/tiny-px" --product patches --size 8 --near-copies ignore --out "$set"
measured split "$bin/shard-builder" split "$set" --name grouped --kind grouped-kfold --folds 3 --seed 0
measured show "$bin/shard-builder" show "$set"
measured verify "$bin/shard-builder" verify "$set"
measured plan "$bin/worker" plan "$out/tiny.yaml" --shards "$set"
# Exit status 85: stopped as asked, after its first batch.
measured first-batch "$bin/worker" train "$out/tiny.yaml" --shards "$set" --out "$out/run" --stop-at 1
echo "rows: $(grep -hoE '[0-9,]+ rows in' "$out/verify.txt" | head -n 1); $(du -sh "$set" | cut -f 1) in $(find "$set" -name '*.parquet' | wc -l) files of Parquet"
