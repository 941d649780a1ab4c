#!/bin/bash
# Every way to adapt, of a small vit (masked autoencoder) and a small w2v (wav2vec 2.0's objective), both pre-trained
# here on the training folds: macro AUROC of the test fold with its interval, what was learned, time.
#   scripts/adaptation_table.sh DATA [OUT] [TASK]     such as: scripts/adaptation_table.sh ptbxl runs/adaptations
# One thread. Runs that are there already are not repeated. EPOCHS (8) of fine-tuning.
set -euo pipefail
root=$(dirname "$0")/..
data=${1:?usage: scripts/adaptation_table.sh DATA [OUT] [TASK]}
out=${2:-runs/adaptations}
task=${3:-super}
ecgfm=${ECGFM:-$root/build/release/ecgfm}
epochs=${EPOCHS:-8}
mkdir -p "$out"

# run NAME COMMAND...: once, with its time
run() {
    local name=$1
    shift
    [ -s "$out/$name/metrics.json" ] && return
    local TIMEFORMAT=%U
    { time "$ecgfm" "$@" --data "$data" --out "$out/$name" --threads 1 --quiet >/dev/null 2>"$out/$name.txt"; } \
        2>"$out/$name.seconds" || { cat "$out/$name.txt" >&2; failed=1; }
}
failed=0

declare -A network=(
    [vit]="--network.backbone vit --vit.width 64 --vit.depth 3 --vit.heads 4 --vit.patch 25"
    [w2v]="--network.backbone w2v --w2v.width 64 --w2v.depth 2 --w2v.heads 4 --w2v.conv_layers 4 --w2v.conv_width 64
           --w2v.conv_norm_groups 64 --w2v.position_kernel 16 --w2v.position_groups 8 --w2v.dropout 0.1"
)
declare -A pretraining=([vit]="--objective mae --epochs 40" [w2v]="--objective w2v --epochs 10 --lr 1e-3")

# A way in a line: name | command and options
ways='probe, logistic | probe
probe, ridge | probe --classifier ridge
probe, k-NN | probe --classifier knn
probe, prototype | probe --classifier prototype
linear head | finetune --adapt head
mlp head | finetune --adapt head --network.head mlp
attention pooling | finetune --adapt head --network.pool attention
biases | finetune --adapt bias
adapters | finetune --adapt adapter
LoRA | finetune --adapt lora
full | finetune --adapt full
head, then gradually all | finetune --adapt full --freeze-epochs 2 --unfreeze-epochs 0.5
full, random start | random finetune --adapt full
probe, random encoder | random probe'

number() { sed -n "s/^ *\"$2\": *\\[*\\([0-9.]*\\),*\$/\\1/p" "$out/$1/metrics.json" | head -1; }

for backbone in vit w2v; do
    # shellcheck disable=SC2086 # lists of options
    run "$backbone" pretrain ${pretraining[$backbone]} ${network[$backbone]} --seed 1
    while IFS='|' read -r name how; do
        read -r command options <<<"$how"
        label=$backbone-$(tr -cs 'a-zA-Z\n' - <<<"$name")
        label=${label%-}
        weights="--weights $out/$backbone"
        if [ "$command" = random ]; then
            weights="--weights random ${network[$backbone]}"
            read -r command options <<<"$options"
        fi
        [ "$command" = finetune ] && options="$options --epochs $epochs"
        # shellcheck disable=SC2086
        run "$label" $command $weights $options --task "$task" --seed 1
    done <<<"$ways"
done

printf '| %s | %s | %s | %s | %s |\n' backbone way "macro AUROC" learned seconds
echo '|---|---|--:|--:|--:|'
for backbone in vit w2v; do
    while IFS='|' read -r name how; do
        name=${name% }
        label=$backbone-$(tr -cs 'a-zA-Z\n' - <<<"$name")
        label=${label%-}
        [ -s "$out/$label/metrics.json" ] || continue
        printf '| %s | %s | %.3f (%s) | %s | %s |\n' "$backbone" "$name" "$(number "$label" macro_auroc)" \
            "$(tr -d '\n ' <"$out/$label/metrics.json" |
                sed 's/.*"macro_auroc_ci":\[\([0-9.]*\),\([0-9.]*\)\].*/\1 \2/' |
                awk 'NF == 2 { printf "%.3f to %.3f", $1, $2 }')" \
            "$(number "$label" learned_parameters)" "$(cat "$out/$label.seconds")"
    done <<<"$ways"
done
[ $failed = 0 ] || { echo "a run failed: its way is missing above" >&2; exit 1; }
