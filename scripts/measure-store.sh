#!/usr/bin/env bash
# Time and peak memory of the commands that read a whole store, on one of 1,000 drawn trials.
#   scripts/measure-store.sh BIN
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
REDDINO_LARGE_STORE="$folder/store" cargo test -q --locked --workspace --bin orchestrator large_store >/dev/null
measured() {
  python3 - "$@" <<'PY'
import resource, subprocess, sys, time
began = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{sys.argv[2]:10} {time.monotonic() - began:6.1f} s, {used.ru_utime + used.ru_stime:6.1f} s of processor, {used.ru_maxrss / 1024:6.0f} MB, status {code}")
PY
}
for command in "list" "status large" "watch large" "results large" "report large --out $folder/report.html" "compare reference arm-001"; do
  read -ra words <<<"$command"
  measured "$bin/orchestrator" "${words[@]}" --store "$folder/store"
done
echo "report.html: $(stat -c %s "$folder/report.html") bytes; the store: $(find "$folder/store" -type f | wc -l) files"
