#!/usr/bin/env bash
# Rewrites the golden files from their scripts. The difference is to be reviewed like code.
#   scripts/golden.sh PYTHON
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for script in tests/golden/make_*.py; do
  # Scripts that need other packages than the interop environment name their own pins.
  pins="tests/golden/requirements-$(basename "$script" .py | sed 's/^make_//').txt"
  if [ -f "$pins" ]; then
    scripts/venv.sh ".venv-golden-$(basename "$pins" .txt)" "$pins"
    python=".venv-golden-$(basename "$pins" .txt)/bin/python"
  else
    python=$1
  fi
  echo "golden: $script"
  "$python" "$script"
done
