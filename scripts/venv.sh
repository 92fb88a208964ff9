#!/usr/bin/env bash
# Makes a Python environment from a file of exact pins. Nothing happens when it is already there.
#   scripts/venv.sh FOLDER REQUIREMENTS
set -euo pipefail
venv=$1 pins=$2
stamp=$(sha256sum "$pins" | cut -d' ' -f1)
[ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ] && exit 0
echo "venv: making $venv from $pins"
rm -rf "$venv"
python3 -m venv "$venv"
quiet=-q
[ -t 2 ] && quiet=
"$venv/bin/python" -m pip install $quiet --disable-pip-version-check --no-cache-dir -r "$pins"
echo "$stamp" >"$venv/.stamp"
