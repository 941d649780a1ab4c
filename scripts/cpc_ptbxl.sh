#!/bin/bash
# What pre-training brings where labels are few: contrastive predictive coding on the training folds of
# two sets of PTB-XL records, one of which has lost its amplitudes, then fine-tuning on the superclasses
# with a tenth of the labels and with all, beside the same network from scratch, fine-tuned the same way. Each
# seed has a pre-training of its own, and its own tenth of the labels, as much depends on which they are.
# Differences of macro AUROC on fold 10, and of their means, with paired-bootstrap intervals of the records.
#   scripts/cpc_ptbxl.sh DATA MORE_DATA [OUT] [SEEDS]     such as: ... ptbxl ptbxl-zscored runs/cpc "1 2 3"
#   NETWORK=cpc-s4-small (or cpc-lstm-small)   JOBS=2 (runs at a time, one thread each)
#   AUGMENTED=1: fine-tuning, of both, with the augmentations of the pre-training (in folders of their own)
# MORE_DATA "": DATA alone. Runs that are there already are not repeated; OUT is runs/cpc/NETWORK if not given.
# Data: PTB-XL (Wagner et al. 2020, PhysioNet, doi:10.13026/x4td-x982), CC BY 4.0.
set -euo pipefail
root=$(dirname "$0")/..
usage='usage: scripts/cpc_ptbxl.sh DATA MORE_DATA [OUT] [SEEDS]'
data=${1:?$usage}
more=${2?$usage}
seeds=${4:-1 2 3 4 5 6 7 8 9 10 11 12}
network=${NETWORK:-cpc-s4-small}
out=${3:-runs/cpc/$network}
jobs=${JOBS:-2}
[[ $jobs =~ ^[1-9][0-9]*$ ]] || { echo "JOBS $jobs is not a number of runs" >&2; exit 2; }
ecgfm=${ECGFM:-$root/build/release/ecgfm}
mkdir -p "$out"
start=$SECONDS

# run NAME COMMAND...: once, with its time
run() {
    local name=$1 start=$SECONDS
    shift
    [ -s "$out/$name/metrics.json" ] && return
    OMP_NUM_THREADS=1 "$ecgfm" "$@" --data "$data" --out "$out/$name" --precision bf16 --threads 1 --quiet >/dev/null
    echo "$name: $((SECONDS - start)) s" >&2
}

augment=(--augment.amplitude-scale.probability 1 --augment.amplitude-scale.factor-min 0.5
         --augment.amplitude-scale.factor-max 2 --augment.amplitude-scale.lead-spread 0.3
         --augment.lead-mask.probability 0.5 --augment.lead-mask.lead-probability 0.3)
# What each side learns best by, and as long, on splits of folds 1-9.
scratch=(--lr 3e-3)
tuned=(--lr 3e-3)
few=120
if [ "$network" = cpc-lstm-small ]; then
    scratch=(--lr 1e-2 --layer-decay 0.5)
    tuned=(--lr 5e-3 --layer-decay 0.6)
    few=60
fi
kind=
if [ -n "${AUGMENTED:-}" ]; then
    kind=augmented-
    scratch+=("${augment[@]}")
    tuned+=("${augment[@]}")
fi

one_seed() {
    local seed=$1 fraction epochs
    run "pretrained-$seed" pretrain ${more:+--data "$more"} --model "$network" --objective cpc --cpc.horizon 2 \
        --cpc.records 4 --epochs 20 --batch 32 --lr 2e-3 --seed "$seed" "${augment[@]}"
    for fraction in 0.1 1; do
        epochs=$few
        [ $fraction = 0.1 ] || epochs=20
        tune=(finetune --task super --label-fraction "$fraction" --label-subset "$seed" --input.seconds 2.4 --batch 16
              --epochs "$epochs" --bootstrap 0 --seed "$seed")
        run "${kind}scratch-$fraction-$seed" "${tune[@]}" --weights random --model "$network" "${scratch[@]}"
        run "${kind}tuned-$fraction-$seed" "${tune[@]}" --weights "$out/pretrained-$seed" "${tuned[@]}"
    done
}

failed=
for seed in $seeds; do
    while [ -z "$failed" ] && [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do wait -n || failed=1; done
    [ -n "$failed" ] || one_seed "$seed" &
done
for process in $(jobs -p); do wait "$process" || failed=1; done
[ -z "$failed" ] || { echo "a run failed; what is complete stays" >&2; exit 1; }
echo "all: $((SECONDS - start)) s" >&2

# files NAME SEED...: their predictions, quoted, with commas
files() {
    local list='' seed
    for seed in "${@:2}"; do list+=${list:+,}\"$out/$1-$seed/predictions.csv\"; done
    echo "$list"
}

# compared LABEL FRACTION SEED...: a line of the table
compared() {
    local label=$1 fraction=$2
    shift 2
    "$ecgfm" eval --compare "$(files "${kind}scratch-$fraction" "$@")" "$(files "${kind}tuned-$fraction" "$@")" \
        --bootstrap 20000 --json --quiet >"$out/${kind}compare-$fraction-$label.json"
    field() { sed -n "s/^ *\"$1\": *\([-0-9.e]*\),*$/\1/p" "$out/${kind}compare-$fraction-$label.json" | head -1; }
    printf '%-7s %-5s ' "$(awk "BEGIN { print 100 * $fraction }") %" "$label"
    printf '%-8.4f %-11.4f %-+11.4f %+.4f to %+.4f %.4f\n' "$(field macro_auroc_first)" \
        "$(field macro_auroc_second)" "$(field macro_auroc_difference)" \
        "$(field macro_auroc_difference_low)" "$(field macro_auroc_difference_high)" \
        "$(field macro_auroc_difference_p)"
}

printf '%-7s %-5s %-8s %-11s %-11s %-18s %s\n' labels seed scratch pre-trained difference '95 % interval' p
for fraction in 0.1 1; do
    for seed in $seeds; do compared "$seed" $fraction "$seed"; done
    compared mean $fraction $seeds
done
