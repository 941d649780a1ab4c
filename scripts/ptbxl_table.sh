#!/bin/bash
# The table of the README: every objective on a PTB-XL folder, as probe and fine-tuned, beside the random
# encoder and training from scratch; means over seeds of the macro AUROC of the test fold.
#   scripts/ptbxl_table.sh DATA [OUT] [SEEDS] [TASK]     such as: ... ptbxl runs "1 2 3" super
# Records are scored by the mean logit of their windows. Runs that are there already are not repeated.
set -euo pipefail
root=$(dirname "$0")/..
data=${1:?usage: scripts/ptbxl_table.sh DATA [OUT] [SEEDS] [TASK]}
out=${2:-runs/table}
seeds=${3:-1 2 3}
task=${4:-super}
ecgfm=${ECGFM:-$root/build/release/ecgfm}
mkdir -p "$out"

# run NAME COMMAND...: once, with its time
run() {
    local name=$1 start=$SECONDS
    shift
    [ -s "$out/$name/metrics.json" ] && return
    "$ecgfm" "$@" --data "$data" --out "$out/$name" --quiet >/dev/null
    echo "$name: $((SECONDS - start)) s" >&2
}

for seed in $seeds; do
    for objective in mae simclr mae+simclr; do
        run "$objective-$seed" pretrain --objective "$objective" --seed "$seed"
        for adapt in probe finetune; do
            run "$adapt-$objective-$seed" $adapt --task "$task" --aggregation mean_logit --weights "$out/$objective-$seed" --seed "$seed"
        done
    done
    for adapt in probe finetune; do
        run "$adapt-random-$seed" $adapt --task "$task" --aggregation mean_logit --weights random --seed "$seed"
    done
done

printf '%-12s %-22s %-22s\n' weights probe fine-tuned
for weights in random mae simclr mae+simclr; do
    printf '%-12s' "$weights"
    for adapt in probe finetune; do
        for seed in $seeds; do
            sed -n 's/^  "macro_auroc": *\([0-9.]*\),*$/\1/p' "$out/$adapt-$weights-$seed/metrics.json"
        done | awk '{ n++; sum += $1; low = n == 1 || $1 < low ? $1 : low; high = $1 > high ? $1 : high }
                    END { printf " %.4f (%.4f-%.4f) ", sum / n, low, high }'
    done
    echo
done
