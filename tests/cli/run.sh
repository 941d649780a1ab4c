#!/bin/bash
# Runs one command-line case and compares what it did with the files beside it:
#   NAME.sh               the script; `ecgfm` is on its PATH, its folder is fresh and empty, REPOSITORY
#                         and SHARED (../shared) are set
#   NAME.stdout.exact     standard output, byte for byte
#   NAME.stdout.glob      the same with * for any text
#   NAME.stderr.exact, NAME.stderr.glob
#   NAME.exit             exit code; 0 without it
# What has no file is not compared. Exit 77 of a script that has no NAME.exit means skipped.
#   run.sh BINARY CASE.sh             check
#   run.sh --update BINARY CASE.sh... write the .exact and .exit files anew
set -uo pipefail
export LC_ALL=C

update=false
if [ "${1-}" = --update ]; then
    update=true
    shift
fi
binary=$(realpath "$1")
shift
here=$(dirname "$(realpath "$0")")
export REPOSITORY=${here%/tests/cli}
export SHARED=$REPOSITORY/../shared
export NO_COLOR=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$binary" "$work/bin/ecgfm"

# matches FILE PATTERN_FILE: only * is special in the pattern.
matches() {
    local text pattern
    text=$(cat "$1"; echo .)
    pattern=$(sed 's/[][?\\]/\\&/g' "$2"; echo .)
    # shellcheck disable=SC2053
    [[ $text == $pattern ]]
}

check() {
    local base=${1%.sh} status=0 expected=0 bad=0 stream
    rm -rf "$work/folder"
    mkdir "$work/folder"
    (cd "$work/folder" && PATH="$work/bin:$PATH" bash -eu "$script_path") \
        >"$work/stdout" 2>"$work/stderr" </dev/null || status=$?
    if [ -f "$base.exit" ]; then
        expected=$(cat "$base.exit")
    elif [ $status = 77 ]; then
        cat "$work/stdout" "$work/stderr"
        return 77
    fi
    if $update; then
        for stream in stdout stderr; do
            [ -f "$base.$stream.exact" ] && cp "$work/$stream" "$base.$stream.exact"
        done
        if [ $status != 0 ]; then echo $status >"$base.exit"; else rm -f "$base.exit"; fi
        return 0
    fi
    if [ "$status" != "$expected" ]; then
        echo "exit code $status, expected $expected"
        bad=1
    fi
    for stream in stdout stderr; do
        if [ -f "$base.$stream.exact" ] && ! diff -u "$base.$stream.exact" "$work/$stream"; then
            bad=1
        fi
        if [ -f "$base.$stream.glob" ] && ! matches "$work/$stream" "$base.$stream.glob"; then
            echo "$stream does not match $base.$stream.glob:"
            diff -u "$base.$stream.glob" "$work/$stream"
            bad=1
        fi
    done
    if [ $bad != 0 ]; then
        echo "---- standard error of $1:"
        tail -50 "$work/stderr"
    fi
    return $bad
}

result=0
for script in "$@"; do
    script_path=$(realpath "$script")
    check "$script_path" || result=$?
done
exit $result
