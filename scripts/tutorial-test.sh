#!/usr/bin/env bash
# Runs the commands of docs/tutorial.md on the output of `make quickstart`, as they stand there.
#   scripts/tutorial-test.sh QUICKSTART BIN
# The blocks that begin with ```sh are run, in order, in one shell that stops at the first command that fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
quickstart=$(realpath "$1") bin=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$PWD/configs" "$work/configs"
ln -s "$quickstart" "$work/quickstart"
mkdir "$work/tutorial"
{ echo 'set -euo pipefail'; sed -n '/^```sh$/,/^```$/{/^```/!p}' docs/tutorial.md; } >"$work/commands.sh"
echo "== $(grep -c -E '^[a-z]' "$work/commands.sh") commands of docs/tutorial.md"
cd "$work"
PATH="$bin:$PATH" bash -x commands.sh >output.txt 2>&1 || { cat output.txt; echo "a command of docs/tutorial.md failed" >&2; exit 1; }
for file in cells.png curves.svg report.html differ.png features.parquet look model/model.safetensors; do
  [ -s "tutorial/$file" ] || { cat output.txt; echo "the tutorial's commands did not write tutorial/$file" >&2; exit 1; }
done
echo "all ran, in $SECONDS s"
