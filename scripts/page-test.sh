#!/usr/bin/env bash
# The report's page and the dashboard's in Chromium. Without one, and where none can be installed, this says so and passes, unless REDDINO_REQUIRE names `page`.
#   scripts/page-test.sh PYTHON BIN [SCREENSHOTS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 bin=$2 shots=${3:-}
if ! scripts/setup-chromium.sh; then
  echo "page-test: SKIPPED: there is no Chromium here (set CHROMIUM to one, or install the package chromium)" >&2
  case ",${REDDINO_REQUIRE:-}," in *,page,*) exit 1 ;; *) exit 0 ;; esac
fi
[ -z "$shots" ] || mkdir -p "$shots"
"$python" tests/page/check_page.py "$bin/orchestrator" ${shots:+"$shots"}
stores=$(mktemp -d)
trap 'rm -rf "$stores"' EXIT
REDDINO_RUNNING_STORES="$stores" cargo test -q --locked --workspace --bin orchestrator stores_of_a_running_sweep >/dev/null
"$python" tests/page/check_dashboard.py "$bin/orchestrator" "$stores" ${shots:+"$shots"}
