#!/bin/bash
# The whole path on a machine that has nothing yet: packages, build, a synthetic data set, pre-training,
# probe, fine-tuning, scores for a folder of recordings, and where the results lie. For Debian 12,
# Ubuntu 24.04 or newer; root or sudo is needed only where packages are missing. Within three minutes on
# two cores once packages are there. Safe to run again: what is finished is not done again, what was
# interrupted goes on.
#   scripts/demo.sh [DIR]   DIR: where data and results go (default: demo in the project's folder)
set -euo pipefail
case ${1-} in
-*)
    echo "usage: scripts/demo.sh [DIR]" >&2
    exit 2
    ;;
esac
folder=${1:+$(realpath -m -- "$1")}
cd "$(dirname "$0")/.."
folder=${folder:-demo}
ecgfm=build/release/ecgfm

step() {
    printf '\n== %4d s  %s\n' "$SECONDS" "$1" >&2
}

step "packages"
scripts/setup.sh

step "build"
cmake --preset release >/dev/null
cmake --build --preset release --target ecgfm -j "$(nproc)" >&2

step "400 synthetic recordings in the layout of PTB-XL"
$ecgfm synth --out "$folder/data" --records 400 --seed 1 >&2

step "pretrain: an encoder from recordings without labels"
$ecgfm pretrain --data "$folder/data" --model vit-tiny --objective mae --out "$folder/pretrain" \
    --epochs 40 --seed 1 >&2

step "probe: how much a linear classifier reads off the frozen encoder, and off a random one"
$ecgfm probe --data "$folder/data" --task super --weights "$folder/pretrain" \
    --out "$folder/probe" --seed 1 >&2
$ecgfm probe --data "$folder/data" --task super --weights random --model vit-tiny \
    --out "$folder/probe-random" --seed 1 >&2

step "finetune: encoder and head for the five classes"
$ecgfm finetune --data "$folder/data" --task super --weights "$folder/pretrain" \
    --out "$folder/finetune" --epochs 12 --seed 1 >&2

step "infer: scores for a folder of recordings"
$ecgfm infer --model "$folder/finetune/model.safetensors" "$folder/data/records100" \
    >"$folder/scores.jsonl.part"
mv "$folder/scores.jsonl.part" "$folder/scores.jsonl"

step "eval: scores against labels, on the test fold"
$ecgfm eval --scores "$folder/scores.jsonl" --data "$folder/data" --task super --split test \
    --seed 1 >"$folder/evaluation.txt"

step "done"
cat "$folder/evaluation.txt"
cat <<END

$folder/data                        the recordings: synthetic, so the figures say nothing about patients
$folder/pretrain/model.safetensors  the encoder
$folder/probe/metrics.json          linear probe; probe-random/metrics.json: its control
$folder/finetune/model.safetensors  the classifier, with predictions.csv and metrics.json beside it
$folder/scores.jsonl                one line for each recording; the first:
END
head -n 1 "$folder/scores.jsonl"
cat <<END

Next: $ecgfm help, and README.md. With PTB-XL: put its folder in place of $folder/data.
END
