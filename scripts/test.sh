#!/usr/bin/env bash
# All tests that need no Python torch. Prints how many were skipped and why.
# REDDINO_REQUIRE=shared-data makes tests on real images fail instead of being skipped when the images are not there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=target/test.log
mkdir -p target
cargo build --locked --workspace --bins
cargo test --locked --workspace --no-fail-fast -- --show-output 2>&1 | tee "$log" | grep -vE '^(test .* \.\.\. ok|running 0 tests|)$' | grep -vE '^ +(Running|Doc-tests)' || true
passed=$(grep -oE '[0-9]+ passed' "$log" | awk '{n+=$1} END {print n+0}')
failed=$(grep -oE '[0-9]+ failed' "$log" | awk '{n+=$1} END {print n+0}')
skipped=$(grep -c '^SKIPPED:' "$log" || true)
broken=$(grep -cE '^error(\[|:)' "$log" || true)
echo
grep '^SKIPPED:' "$log" | sort | uniq -c || true
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$broken" = 0 ] && [ "$passed" -gt 0 ]
