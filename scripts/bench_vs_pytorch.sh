#!/bin/bash
# ecgfm beside plain PyTorch on the same work, in turn: A B A B ...; medians and ratios as a table on
# standard output, and as JSON. Takes about ten minutes on two idle cores. Nothing else should run:
# threads that wait for a core another program has make both sides several times slower.
#   scripts/bench_vs_pytorch.sh [REPEATS] [FILE.json]
#     REPEATS    turns, 2 unless given; FILE.json: bench_vs_pytorch.json unless given
#   THREADS=N    threads of both sides; all cores unless set
#   NETWORKS="ecg-fm vit-small"   SCORING=1,8,32   TRAINING=8,16   (batch sizes)
#   PYTHON=/usr/bin/python3       LIMIT=4          (seconds a measurement)
# On a machine that others use: chrt -f 2 scripts/bench_vs_pytorch.sh
# The peer: what `import torch` finds, else Debian's python3-torch (1.13.1) is installed. It computes with
# the system's BLAS: OpenBLAS with OpenMP, else two thread pools fight.
set -euo pipefail
turns=${1:-2}
here=$(cd "$(dirname "$0")" && pwd)
output=$(realpath -m -- "${2:-bench_vs_pytorch.json}")
if ! [[ $turns =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: scripts/bench_vs_pytorch.sh [REPEATS] [FILE.json]" >&2
    exit 2
fi
cd "$here/.."
ecgfm=$PWD/build/release/ecgfm
threads=${THREADS:-$(nproc)}
limit=${LIMIT:-4}
networks=${NETWORKS:-ecg-fm vit-small}
scoring=${SCORING:-1,8,32} training=${TRAINING:-8,16}
export OMP_NUM_THREADS=$threads
unset OMP_WAIT_POLICY GOMP_SPINCOUNT
peer=scripts/peers/torch_encoder.py

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 /usr/bin/python3; do
        if "$candidate" -c 'import torch' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

if ! python=$(find_python); then
    echo "bench: installing python3-torch" >&2
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
        python3-torch libopenblas0-openmp >&2
    python=$(find_python)
fi
blas=$(update-alternatives --query "libblas.so.3-$(gcc -print-multiarch)" 2>/dev/null |
    sed -n 's/^Value: //p') || true
case ${blas:-none} in
*openblas-openmp* | none) ;;
*)
    echo "bench: the peer would compute with $blas. For a fair setting:" >&2
    echo "  apt-get install libopenblas0-openmp; update-alternatives --config libblas.so.3-$(gcc -print-multiarch)" >&2
    exit 1
    ;;
esac
[ -x "$ecgfm" ] || { cmake --preset release >&2 && cmake --build --preset release --target ecgfm >&2; }

work=$(mktemp -d)
trap 'rm -rf --one-file-system -- "$work"' EXIT

# Sets `options`: the peer's network, without dropout.
network_options() {
    case $1 in
    ecg-fm) options=(--w2v.dropout 0 --w2v.attention-dropout 0 --w2v.input-dropout 0) ;;
    *) options=(--input.rate-hz 500 --input.seconds 5 --network.pool mean) ;;
    esac
}

# ours NETWORK MODE PRECISION BATCHES; one line for each JSON document
ours() {
    network_options "$1"
    "$ecgfm" bench --quiet --model "$1" --mode "$2" --precision "$3" --batch "$4" --threads "$threads" \
        --repeat 7 --limit "$limit" --json "${options[@]}" | tr -d '\n' |
        sed "s/^/{\"side\":\"ecgfm\",\"network\":\"$1\",\"turn\":$turn,\"result\":/;s/\$/}\n/" >>"$work/lines"
}
theirs() {
    "$python" "$peer" --network "$1" --mode "$2" --precision "$3" --batch "$4" --threads "$threads" \
        --repeat 7 --limit "$limit" |
        sed "s/^/{\"side\":\"torch\",\"network\":\"$1\",\"turn\":$turn,\"result\":/;s/\$/}/" >>"$work/lines"
}

# The first score of a process, weights from a file in the system's cache.
startup_prepare() {
    "$python" "$peer" --network "$1" --mode save --weights "$work/$1.pt"
    network_options "$1"
    if [ ! -d "$work/set" ]; then
        "$ecgfm" synth --quiet --out "$work/set" --records 60 --rate 500 --duration 5 --seed 1 >/dev/null
    fi
    "$ecgfm" probe --quiet --data "$work/set" --model "$1" --weights random --bootstrap 0 \
        --out "$work/$1" "${options[@]}" >/dev/null
}
startup() {
    "$python" "$peer" --network "$1" --mode startup --weights "$work/$1.pt" --threads "$threads" |
        sed "s/^/{\"side\":\"torch\",\"network\":\"$1\",\"turn\":$turn,\"result\":/;s/\$/}/" >>"$work/lines"
    "$python" - "$1" "$turn" "$work/lines" "$ecgfm" infer --quiet --threads "$threads" \
        --model "$work/$1" "$record" <<'END'
import json, subprocess, sys, time, resource
network, turn, lines, *command = sys.argv[1:]
seconds = []
for _ in range(5):
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    seconds.append(time.perf_counter() - begin)
version = []
for _ in range(20):
    begin = time.perf_counter()
    subprocess.run([command[0], "--version"], stdout=subprocess.DEVNULL, check=True)
    version.append(time.perf_counter() - begin)
result = dict(mode="startup", first_score_seconds=sorted(seconds)[2], version_seconds=sorted(version)[10],
              peak_bytes=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
with open(lines, "a") as f:
    print(json.dumps(dict(side="ecgfm", network=network, turn=int(turn), result=result)), file=f)
END
}

precisions=f32
"$ecgfm" bench --mode none --precision bf16 | grep -q 'bf16: not on this machine' || precisions="f32 bf16"
for network in $networks; do
    startup_prepare "$network"
    record=$(find "$work/set" -name '*.hea' | sort | head -1)
    for turn in $(seq "$turns"); do
        for precision in $precisions; do
            echo "bench: $network, turn $turn of $turns, $precision, $SECONDS s" >&2
            theirs "$network" infer "$precision" "$scoring"
            ours "$network" infer "$precision" "$scoring"
            theirs "$network" train "$precision" "$training"
            ours "$network" train "$precision" "$training"
        done
        ours "$network" infer int8 8
        startup "$network"
    done
done
"$python" scripts/peers/compare.py "$work/lines" "$output" "$threads"
