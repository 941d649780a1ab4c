# A convolutional network with batch norm, trained from the start with an average and in several batches a
# step: killed and started again, with one thread or two, it ends with the same bytes, running statistics
# too; what it says of a record does not depend on the batch. Objectives that take tokens out refuse it.
set -e
ecgfm synth --out data --records 48 --duration 4 --seed 3 --quiet >/dev/null
small=(--model xresnet1d18 --xresnet1d.width 8 --batch 8 --quiet --seed 5)
train=(ecgfm finetune --data data --weights random "${small[@]}" --epochs 3 --accumulate 2 --ema 0.9 --bootstrap 20)
same() {
    diff -r -x log.txt -x config.json "$1" "$2" >&2 && echo "$2 same"
}

"${train[@]}" --out whole --threads 2 >/dev/null
"${train[@]}" --out one --threads 1 >/dev/null
same whole one
for delay in 0.06 0.1 0.15 0.12; do
    "${train[@]}" --out killed --checkpoint_seconds 0 --threads 1 >/dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
done
"${train[@]}" --out killed --checkpoint_seconds 0 --threads 1 >/dev/null
same whole killed

records=(data/records100/*/*.hea)
ecgfm infer --model whole "${records[@]}" --quiet >all.jsonl
ecgfm infer --model whole "${records[7]}" --quiet | grep -qxF -f - all.jsonl && echo "alone the same"

ecgfm pretrain --data data "${small[@]}" --objective simclr --simclr.hidden 16 --simclr.projection 8 --epochs 1 --out pre >/dev/null
ecgfm finetune --data data --batch 8 --quiet --seed 5 --weights pre --epochs 1 --freeze 2 --out fine --bootstrap 20 >/dev/null && echo fine-tuned
ecgfm pretrain --data data "${small[@]}" --objective mae --out mae 2>&1 >/dev/null | grep -o 'which network.backbone xresnet1d cannot' || true
