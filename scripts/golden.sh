#!/usr/bin/env bash
# Rewrites the golden files from their scripts. The difference is to be reviewed like code.
#   scripts/golden.sh PYTHON
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for script in tests/golden/make_*.py; do
  # A script that needs other packages than the interop environment names its pins at its head.
  pins=$(grep -oE 'tests/golden/requirements-[a-z0-9]+\.txt' "$script" | head -n 1 || true)
  if [ -n "$pins" ]; then
    python=.venv-golden-$(basename "$pins" .txt)
    scripts/venv.sh "$python" "$pins"
    python+=/bin/python
  else
    python=$1
  fi
  case "$script" in
    */make_cellpose.py) out=(tests/golden/cellpose) ;;
    */make_labels.py) out=(tests/golden/labels) ;;
    */make_masks.py) out=(tests/golden/masks) ;;
    */make_slides.py) out=(tests/golden/slides) ;;
    */make_augment*.py | */make_rand_augment.py | */make_stain.py) out=(tests/golden/augment) ;;
    *) out=() ;;
  esac
  echo "golden: $script"
  "$python" "$script" "${out[@]}"
done
