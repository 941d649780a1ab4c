#!/bin/bash
# Seconds of a training epoch on PTB-XL beside plain PyTorch: xResNet1d-50 and S4 (4 layers, 512 wide), the
# recipe of the PTB-XL benchmark, batches of 64 crops of 2.5 s, float32, in turn: A B A B ...
#   scripts/ptbxl_vs_pytorch.sh DATA [TURNS]        such as: ... ../shared/data/ptbxl 3
#   THREADS=2   NETWORKS="xresnet1d50 s4"   PYTHON=/usr/bin/python3
#   PEER=../shared/bench/torch_ptbxl.py     WRAP="chrt -f 2" (before each command)
# A turn measures one epoch, the second: from the last step of the first epoch to its own last step. So start,
# first use and evaluation are in neither figure. PyTorch's is taken around its scheduler's steps
# (scripts/peers/torch_steps.py), ecgfm's from log.txt of a run that validates in its last epoch only.
# PyTorch trains on the rest of an epoch as a smaller batch, ecgfm leaves that rest out, so ecgfm's figure is
# scaled to as many records. Nothing else should run.
set -euo pipefail
data=$(realpath -- "${1:?usage: scripts/ptbxl_vs_pytorch.sh DATA [TURNS]}")
turns=${2:-3}
cd "$(dirname "$0")/.."
ecgfm=${ECGFM:-build/release/ecgfm}
threads=${THREADS:-2}
peer=${PEER:-../shared/bench/torch_ptbxl.py}
read -ra wrap <<<"${WRAP:-}"
export OMP_NUM_THREADS=$threads NT=$threads
unset OMP_WAIT_POLICY GOMP_SPINCOUNT
python=
for candidate in ${PYTHON:-} python3 /usr/bin/python3; do
    if "$candidate" -c 'import torch' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "no python has torch; set PYTHON" >&2; exit 1; }
[ -x "$ecgfm" ] || { cmake --preset release >&2 && cmake --build --preset release --target ecgfm >&2; }
work=$(mktemp -d)
trap 'rm -rf --one-file-system -- "$work"' EXIT

theirs() {
    local kind=xres50
    [ "$1" = s4 ] && kind=s4d
    "${wrap[@]}" "$python" scripts/peers/torch_steps.py 2 "$peer" "$data" "$data" "$kind" 2 1 >"$work/theirs"
    awk '/ train / { records = $3 } /^seconds/ { print $2, records }' "$work/theirs"
}

# Seconds of the second epoch, for as many records as the peer's.
ours() {
    local recipe=ptbxl-benchmark
    [ "$1" = s4 ] && recipe=s4
    "${wrap[@]}" "$ecgfm" finetune --data "$data" --task super --weights random --model "$1" --recipe "$recipe" \
        --epochs 3 --validate-epochs 3 --checkpoint-seconds 1e6 --bootstrap 0 --threads "$threads" --seed 1 \
        --out "$work/run" --fresh --quiet >/dev/null
    sed -n 's/.* step \([0-9]*\) of .* records\/s, \([0-9.]*\) s, .*/\1 \2/p' "$work/run/log.txt" |
        awk -v records="$2" 'NR == 1 { step = $1; at = $2 } NR == 2 { print ($2 - at) / (($1 - step) * 64) * records }'
}

median() { sort -g | awk '{ x[NR] = $1 } END { print NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2 }'; }

echo "$threads threads, $turns turns, $("$python" -c 'import torch; print("PyTorch", torch.__version__)')" >&2
printf '| network | PyTorch s/epoch | ecgfm s/epoch | times as fast | turns |\n| --- | --: | --: | --: | --- |\n'
for network in ${NETWORKS:-xresnet1d50 s4}; do
    : >"$work/a"
    : >"$work/b"
    for turn in $(seq "$turns"); do
        read -r seconds records < <(theirs "$network")
        echo "$seconds" >>"$work/a"
        ours "$network" "$records" >>"$work/b"
        echo "$network, turn $turn: PyTorch $(tail -n 1 "$work/a") s, ecgfm $(tail -n 1 "$work/b") s" >&2
    done
    a=$(median <"$work/a")
    b=$(median <"$work/b")
    printf '| %s | %.2f | %.2f | %.2f | %s |\n' "$network" "$a" "$b" "$(awk -v a="$a" -v b="$b" 'BEGIN { print a / b }')" \
        "$(paste -d/ "$work/a" "$work/b" | awk -F/ '{ printf "%s%.2f/%.2f", (NR > 1 ? ", " : ""), $1, $2 }')"
done
