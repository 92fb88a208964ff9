#!/usr/bin/env bash
# Every transform beside Albumentations on real patches: 8 settings of its constructor x 4 patches of each, from four sources.
#   bench/augment/parity.sh PYTHON DATA
# PYTHON has the packages of tests/golden/requirements-augment.txt; DATA holds the sample sources (bccd, chula-rbc-12, …).
# Nothing is kept. Without DATA the check is skipped, loudly.
set -euo pipefail
python=$1 data=$2
sources=(bccd chula-rbc-12 bbbc041-subset pbc-acevedo)
patches=()
for source in "${sources[@]}"; do
    if [ ! -d "$data/$source" ]; then
        echo "SKIPPED: parity on real patches: $data/$source is missing" >&2
        exit 0
    fi
    # The tenth picture of a source, by name.
    mapfile -t pictures < <(find "$data/$source" -type f \( -iname '*.jpg' -o -iname '*.png' -o -iname '*.tif*' \) | LC_ALL=C sort)
    patches+=("${pictures[9]}")
done
cases=$(mktemp -d)
trap 'rm -rf "$cases"' EXIT
"$python" tests/golden/make_augment.py "$cases" --per-op 32 --patches "${patches[@]}"
REDDINO_AUGMENT_CASES=$cases cargo test --locked --workspace --test augment golden -- --nocapture
