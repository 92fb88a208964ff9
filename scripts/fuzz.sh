#!/usr/bin/env bash
# Fuzzes what reads files from outside, each target for SECONDS, without a sanitizer (the code is safe Rust; what is sought are
# panics, endless loops and memory). A finding stops it and stays in fuzz/artifacts/.
#   scripts/fuzz.sh [SECONDS] [TARGET ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-600}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(image manifest shard)
tools=$PWD/.tools/fuzz
[ -x "$tools/bin/cargo-fuzz" ] || cargo install --quiet --locked --root "$tools" --version 0.13.1 cargo-fuzz
seeds() {
  mkdir -p "fuzz/corpus/$1"
  case $1 in
    image) for file in crates/imaging/tests/golden/formats/*; do [[ $file == *.expected.png ]] || cp "$file" fuzz/corpus/image/; done ;;
    manifest) cp tests/golden/shards-v1/manifest.json fuzz/corpus/manifest/ ;;
    shard) cp tests/golden/shards-v1/shards/00000.parquet fuzz/corpus/shard/ ;;
  esac
}
for target in "${targets[@]}"; do
  seeds "$target"
  echo "fuzz $target for $seconds seconds"
  # Coverage flags are not stable, which the compiler accepts on this word.
  if ! RUSTC_BOOTSTRAP=1 "$tools/bin/cargo-fuzz" fuzz run --sanitizer none --release "$target" -- \
    -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=30 -max_len=65536 -print_final_stats=1 >"fuzz/$target.log" 2>&1; then
    tail -n 40 "fuzz/$target.log"
    exit 1
  fi
  grep -E "stat::|^Done|cov:.*DONE" "fuzz/$target.log"
done
