#!/usr/bin/env bash
# Builds the programs of another commit and proves that both commits make the same sets, checkpoints, rows and pictures.
#   scripts/prove-same.sh BASE BIN
# Half an hour the first time: the other commit is built from nothing, in target/same/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
base=$(git rev-parse --short "${1:?name a commit: make prove-same BASE=…}^{commit}") bin=$2
place=target/same/$base
if [ ! -x "$place/target/debug/worker" ]; then
  rm -rf "$place"
  git clone --quiet --shared . "$place"
  git -C "$place" checkout --quiet --detach "$base"
  ln -s "$PWD/.libtorch" "$place/.libtorch"
  (cd "$place" && cargo build --locked --workspace --bins)
fi
data=
[ -d ../shared/data ] && data=$PWD/../shared/data
[ -n "$data" ] || echo "SKIPPED: real smears (../shared/data is not there)"
out=$(mktemp -d -p target/same)
# The same commands and configurations for both: only the programs differ.
scripts/same/work.sh "$place/target/debug" "$out/before" ${data:+"$data"} >"$out/before.log" 2>&1 || { tail -n 20 "$out/before.log"; exit 1; }
scripts/same/work.sh "$bin" "$out/after" ${data:+"$data"} >"$out/after.log" 2>&1 || { tail -n 20 "$out/after.log"; exit 1; }
scripts/same/compare.py "$out/before" "$out/after" || { echo "what both made is kept in $out"; exit 1; }
rm -rf "$out"
