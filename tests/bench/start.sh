#!/bin/bash
# From the start of the process to the first score on standard output: a model of 90.4 M parameters
# (random ECG-FM), its file in the system's cache, one record of 5 s at 500 Hz. Best and median of
# RUNS for each storage of the file and precision; the arithmetic alone is what is left beyond the
# line "nothing". On a busy machine: chrt -f 2 tests/bench/start.sh
#   start.sh [BINARY [RUNS [FOLDER]]]   FOLDER keeps the models for the next time
set -eu
export LC_ALL=C
binary=$(realpath "${1-build/release/ecgfm}") runs=${2-9} folder=${3-$(mktemp -d)}
[ $# -ge 3 ] || trap 'rm -rf --one-file-system "$folder"' EXIT
mkdir -p "$folder"
cd "$folder"
record=set/records500/00000/00001_hr

if [ ! -f int8.safetensors ]; then
    "$binary" synth --out set --records 60 --rate 500 --duration 5 --seed 1 --quiet >/dev/null
    "$binary" probe --data set --model ecg-fm --weights random --bootstrap 0 --precision bf16 \
        --out run --fresh --quiet >/dev/null
    for storage in f32 bf16 int8; do
        "$binary" convert --model run --dtype $storage --out $storage.safetensors --fresh --quiet >/dev/null
    done
fi

# once COMMAND...: microseconds until its first line.
once() {
    cat "$warm" >/dev/null
    local begin=${EPOCHREALTIME/./}
    "$@" 2>/dev/null | { read -r _; echo $((${EPOCHREALTIME/./} - begin)); cat >/dev/null; }
}

report() {
    local name=$1
    shift
    for _ in $(seq "$runs"); do once "$@"; done | sort -n | awk -v name="$name" '
        { t[NR] = $1 / 1000 }
        END { printf "%-24s best %6.1f ms, median %6.1f ms\n", name, t[1], t[int((NR + 1) / 2)] }'
}

warm=f32.safetensors
report nothing "$binary" --version
for case in "f32 f32" "bf16 f32" "bf16 bf16" "int8 bf16" "int8 int8"; do
    read -r storage precision <<<"$case"
    warm=$storage.safetensors
    report "$storage file, $precision" "$binary" infer --quiet --model $storage.safetensors \
        --precision $precision $record
done
