# wav2vec 2.0 and ECG-FM's sum: same bytes with one thread or two, and after being killed; what is
# reported; what cannot be done is refused.
set -e
ecgfm synth --out data --records 48 --duration 4 --seed 3 --quiet >/dev/null
small=(--model ecg-fm --w2v.width 16 --w2v.depth 1 --w2v.heads 2 --w2v.conv_width 16
    --w2v.conv_norm_groups 16 --w2v.position_kernel 8 --w2v.position_groups 2 --w2v.codes 8 --w2v.dim 8
    --w2v.negatives 10 --w2v.mask_length 4 --input.seconds 2 --input.rate_hz 125 --quiet --seed 5)
same() {
    # log.txt holds times; config.json names the folders.
    diff -r -x log.txt -x config.json "$1" "$2" >&2 && echo "$2 same"
}
for objective in w2v ecg-fm; do
    run=(ecgfm pretrain --data data --objective $objective "${small[@]}" --batch 6 --epochs 24
        --accumulate 2 --lr 1e-3)
    "${run[@]}" --out $objective --threads 2 >/dev/null
    "${run[@]}" --out $objective-one --threads 1 >/dev/null
    same $objective $objective-one
    kills=0
    for delay in 0.03 0.06 0.1 0.15; do
        "${run[@]}" --out $objective-killed --checkpoint_seconds 0 --threads 1 >/dev/null 2>&1 &
        sleep $delay
        kill -9 $! 2>/dev/null && kills=$((kills + 1))
        wait $! 2>/dev/null || true
    done
    [ $kills -gt 0 ] && echo killed
    "${run[@]}" --out $objective-killed --checkpoint_seconds 0 >/dev/null
    same $objective $objective-killed
    tail -n 1 $objective/metrics.jsonl | grep -o '"[a-z0-9_.]*"' | tr '\n' ' '
    echo
done

ecgfm pretrain --data data --out no --objective w2v --model vit-tiny --quiet 2>&1 | grep -o 'w2v replaces.*'
ecgfm pretrain --data data --out no --objective mae+w2v "${small[@]}" 2>&1 | grep -o 'w2v replaces.*'
ecgfm pretrain --data data --out no --objective w2v+ecg-fm "${small[@]}" 2>&1 | grep -o 'objective .*'
ecgfm pretrain --data data --out no --objective ecg-fm "${small[@]}" --batch 1 2>&1 | grep -o 'objective .*'
