#!/usr/bin/env bash
# Puts the Azure Blob server that tests start, Microsoft's Azurite, into .tools/. Running it again does nothing. Needs npm.
#   scripts/setup-azure.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=3.37.0
folder=.tools/azurite-$version
if [ -e "$folder/node_modules/azurite/package.json" ]; then
  echo "setup-azure: $folder is there"
  exit 0
fi
command -v npm >/dev/null || { echo "setup-azure: npm is not there: install Node.js 18 or newer" >&2; exit 1; }
rm -rf "$folder.tmp"
mkdir -p "$folder.tmp"
# Nothing of what it installs needs to run a program of its own while it is installed.
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder.tmp" "azurite@$version"
# Moved into place last: a script that was killed leaves no half program.
mv "$folder.tmp" "$folder"
echo "setup-azure: Azurite $version"
