#!/usr/bin/env bash
# All tests that need no Python torch. Prints how many were skipped and why.
# REDDINO_REQUIRE names what may not be skipped, separated by commas: shared-data (real images), mpi, slurm
# (scripts/setup-slurm.sh installs it), s3 (scripts/setup-s3.sh), azure (scripts/setup-azure.sh), nccl (REDDINO_NCCL may name the
# library), gpu, published-weights (docs/weights.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=target/test.log
mkdir -p target
cargo build --locked --workspace --bins
programs=$(cargo test --locked --workspace --no-run 2>&1 | tee -a /dev/stderr | grep -c '^ *Executable ')
# The log has everything; here stands which program of tests runs, what it gave, and each failure as soon as it is there.
show_progress() {
  local line running=0
  while IFS= read -r line; do
    case $line in
      ' '*Running\ *\(target/*)
        running=$((running + 1))
        line=${line##*/}
        echo "[$running of $programs] ${line%-*}" ;;
      ' '*Doc-tests\ *) echo "examples in the documentation of ${line##* }" ;;
      'test result: '*) echo "    ${line#test result: }" ;;
      'test '*' FAILED') echo "    $line" ;;
    esac
  done
}
status=0
# Tests of whole programs wait for them half of the time: two more at once keep the processor busy.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) + 2))}"
cargo test --locked --workspace --no-fail-fast -- --show-output 2>&1 | tee "$log" | show_progress || status=$?
# Passing tests print what they provoke; a person wants the failures, the skips and the sums.
if [ "$status" != 0 ]; then
  grep -vE '^(test .* \.\.\. ok|running [0-9]+ tests?|successes:)$' "$log" | tail -n 300
fi
sum() { { grep -oE "[0-9]+ $1" "$log" || true; } | awk '{n+=$1} END {print n+0}'; }
echo
{ grep '^SKIPPED:' "$log" || true; } | sort | uniq -c
skipped=$(grep -c '^SKIPPED:' "$log" || true)
passed=$(sum passed)
echo "all output is in $log"
echo "$passed passed, $(sum failed) failed, $skipped skipped"
[ "$status" = 0 ] && [ "$passed" -gt 0 ]
