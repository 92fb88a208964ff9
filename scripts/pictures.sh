#!/usr/bin/env bash
# The picture of the quickstart's report for the README, from the newest report in its folder.
#   scripts/pictures.sh PYTHON FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 folder=$2
report=$(ls -d -t "$folder"/store/sweeps/quickstart-synthetic/*/tables/*/report.html 2>/dev/null | head -n 1)
[ -n "$report" ] || { echo "pictures: $folder holds no report: run make quickstart first" >&2; exit 1; }
"$python" tests/page/picture.py "$report" docs/img/report.webp
