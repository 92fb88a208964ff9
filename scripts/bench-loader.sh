#!/usr/bin/env bash
# Images per second that a core reads, decodes and augments, and the cores that a GPU of each kind needs. Without SET: on patches of
# drawn smears.
#   scripts/bench-loader.sh BIN [SET]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$1 set=${2:-}
if [ -z "$set" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  "$bin/shard-builder" synth --out "$work/smears" --scale quickstart --seed 0 >&2
  "$bin/shard-builder" build "$work/smears/sources" --data "$work/smears/data" --product patches --near-copies ignore --out "$work/set" >&2
  set=$work/set
fi
"$bin/worker" bench --loader "$set"
