#!/bin/bash
# Runs one C test program. Where cmocka skipped some of its tests (no ../shared), the whole shows as
# skipped in CTest (77), never as passed; a failure stays a failure.
set -uo pipefail
"$@" 2>&1 | awk '{ print; fflush() } /^\[ *SKIPPED *\]/ { skipped = 1 } END { exit skipped ? 77 : 0 }'
status=("${PIPESTATUS[@]}")
[ "${status[0]}" = 0 ] || exit "${status[0]}"
exit "${status[1]}"
