# A small state space network, from scratch: learns, in float32 and bf16, with the same bytes on one
# thread and two and after kills; scores keep no company; a file of fewer bits leaves the states alone.
set -e
ecgfm synth --out data --records 80 --duration 4 --seed 3 --quiet >/dev/null
tune=(ecgfm finetune --data data --weights random --model s4 --s4.width 24 --s4.depth 2 --s4.state 4
    --input.seconds 2 --batch 8 --seed 5 --bootstrap 0 --epochs 3 --lr 0.01 --quiet)
same() { diff -r -x log.txt -x config.json "$1" "$2" >&2 && echo "$3 same"; }

for precision in f32 bf16; do
    run=("${tune[@]}" --precision $precision)
    "${run[@]}" --out $precision --threads 2 >/dev/null
    "${run[@]}" --out $precision-one --threads 1 >/dev/null
    same $precision $precision-one "$precision, one thread:"
    for delay in 0.05 0.12 0.2; do
        "${run[@]}" --out $precision-killed --checkpoint_seconds 0 >/dev/null 2>&1 &
        sleep $delay
        kill -9 $! 2>/dev/null || true
        wait $! 2>/dev/null || true
    done
    "${run[@]}" --out $precision-killed --checkpoint_seconds 0 --threads 1 >/dev/null
    same $precision $precision-killed "$precision, killed:"
done

ecgfm convert f32/model.safetensors half.safetensors --dtype bf16 --quiet >/dev/null
grep -ao '"encoder.block.0.[a-z.]*":{"dtype":"[A-Z0-9]*","shape":\[[0-9,]*\]' half.safetensors
ecgfm infer --model f32 data/records100 --threads 2 --quiet >all.jsonl
wc -l <all.jsonl
ecgfm infer --model f32 data/records100/00000/00007_lr.hea --threads 1 --quiet | cmp - <(sed -n 7p all.jsonl)
