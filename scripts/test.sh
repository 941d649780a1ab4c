#!/bin/bash
# Sets up, builds and runs every test: on the release build, again under the address and undefined
# behaviour sanitizers, and builds with a second compiler. Exit 0 only if all passed.
#   scripts/test.sh         everything but the tests labelled long
#   scripts/test.sh --long  these as well
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

skip_long="-LE long"
[ "${1-}" = --long ] && skip_long=

jobs=$(nproc)
export OMP_WAIT_POLICY=passive # tests run beside each other: waiting threads must not spin
if command -v ccache >/dev/null; then
    export CMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER-ccache}
fi

summary=
failed=0
note() {
    summary="$summary$(printf '%4d s  %-8s %s' "$SECONDS" "$1" "$2")"$'\n'
}

# build PRESET [TARGET...]
build() {
    local preset=$1 log
    shift
    echo "== $preset: building" >&2
    log=$( (cmake --preset "$preset" && cmake --build --preset "$preset" -j "$jobs" ${@:+--target "$@"}) 2>&1) && return 0
    printf '%s\n' "$log" | tail -60
    note "$preset" "DOES NOT BUILD"
    failed=1
    return 1
}

# suites PRESET ctest-options: the closing lines go to the summary, whatever the outcome
suites() {
    local preset=$1 log
    shift
    log=build/$preset/ctest.log
    ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure "$@" 2>&1 | tee "$log"
    [ "${PIPESTATUS[0]}" = 0 ] || failed=1
    note "$preset" "$(grep -E 'tests passed' "$log" || echo 'no tests ran')"
    local skipped
    skipped=$(grep -cE '\*\*\*Skipped' "$log")
    [ "$skipped" = 0 ] || note "$preset" "$skipped skipped: $(grep -E '\*\*\*Skipped' "$log" | awk '{print $4}' | tr '\n' ' ')"
}

if ! scripts/setup.sh --tests; then
    # The second compiler is not worth failing for; the packages of the build are.
    scripts/setup.sh || exit 1
fi

# shellcheck disable=SC2086
build release && suites release $skip_long
build dev && suites dev -LE 'long|style'
if command -v clang >/dev/null; then
    build clang ecgfm && note clang "builds without a warning"
else
    note clang "skipped: not installed"
fi

printf '\n%s' "$summary"
if [ $failed = 0 ]; then
    echo "all passed in $SECONDS s"
else
    echo "FAILED"
fi
exit $failed
