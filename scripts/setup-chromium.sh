#!/usr/bin/env bash
# Installs Chromium for the page tests where apt can do it; running it again does nothing. It fails if there is none in the end.
set -euo pipefail
found() { [ -n "${CHROMIUM:-}" ] || command -v chromium || command -v chromium-browser || command -v google-chrome; }
if ! found >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "setup-chromium: installing chromium"
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=400 install -q -y --no-install-recommends chromium fonts-dejavu-core || true
fi
found >/dev/null
