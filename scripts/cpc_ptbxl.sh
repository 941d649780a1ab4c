#!/bin/bash
# What pre-training brings where labels are few: contrastive predictive coding on the training folds of
# two sets of PTB-XL records, one of which has lost its amplitudes, then fine-tuning on the superclasses
# with a tenth of the labels and with all, beside the same network from scratch. Differences of macro
# AUROC on fold 10 with paired-bootstrap intervals.
#   scripts/cpc_ptbxl.sh DATA MORE_DATA [OUT] [SEEDS]     such as: ... ptbxl ptbxl-zscored runs/cpc "1 2 3"
# MORE_DATA "": DATA alone. Runs that are there already are not repeated.
# Data: PTB-XL (Wagner et al. 2020, PhysioNet, doi:10.13026/x4td-x982), CC BY 4.0.
set -euo pipefail
root=$(dirname "$0")/..
usage='usage: scripts/cpc_ptbxl.sh DATA MORE_DATA [OUT] [SEEDS]'
data=${1:?$usage}
more=${2?$usage}
out=${3:-runs/cpc}
seeds=${4:-1 2 3}
ecgfm=${ECGFM:-$root/build/release/ecgfm}
mkdir -p "$out"

# run NAME COMMAND...: once, with its time
run() {
    local name=$1 start=$SECONDS
    shift
    [ -s "$out/$name/metrics.json" ] && return
    "$ecgfm" "$@" --data "$data" --out "$out/$name" --precision bf16 --quiet >/dev/null
    echo "$name: $((SECONDS - start)) s" >&2
}

run pretrained pretrain ${more:+--data "$more"} --model cpc-s4-small --objective cpc --cpc.horizon 4 \
    --epochs 60 --batch 32 --lr 2e-3
for fraction in 0.1 1; do
    epochs=60
    [ $fraction = 1 ] && epochs=20
    for seed in $seeds; do
        tune=(finetune --task super --label-fraction $fraction --input.seconds 2.4 --epochs $epochs
            --batch 16 --lr 1e-3 --layer-decay 1 --bootstrap 0 --seed "$seed")
        run "scratch-$fraction-$seed" "${tune[@]}" --weights random --model cpc-s4-small
        run "tuned-$fraction-$seed" "${tune[@]}" --weights "$out/pretrained"
    done
done

printf '%-7s %-5s %-8s %-11s %-11s %-18s %s\n' labels seed scratch pre-trained difference '95 % interval' p
for fraction in 0.1 1; do
    for seed in $seeds; do
        "$ecgfm" eval --compare "$out/scratch-$fraction-$seed/predictions.csv" \
            "$out/tuned-$fraction-$seed/predictions.csv" --json --quiet >"$out/compare-$fraction-$seed.json"
        printf '%-7s %-5s ' "$(awk "BEGIN { print 100 * $fraction }") %" "$seed"
        field() { sed -n "s/^ *\"$1\": *\([-0-9.e]*\),*$/\1/p" "$out/compare-$fraction-$seed.json" | head -1; }
        printf '%-8.4f %-11.4f %-+11.4f %+.4f to %+.4f %.4f\n' "$(field macro_auroc_first)" \
            "$(field macro_auroc_second)" "$(field macro_auroc_difference)" \
            "$(field macro_auroc_difference_low)" "$(field macro_auroc_difference_high)" \
            "$(field macro_auroc_difference_p)"
    done
done
