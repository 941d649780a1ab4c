# Contrastive predictive coding of two data sets: ids by set, the same bytes after a kill, the length
# said anew in fine-tuning, and what is refused.
set -e
ecgfm synth --out a/set --records 24 --duration 4 --seed 3 --quiet >/dev/null
ecgfm synth --out b/set --records 16 --duration 4 --seed 4 --quiet >/dev/null
s4=(--network.backbone s4 --s4.width 8 --s4.depth 1 --s4.direction causal --s4.stem 3,1
    --s4.stem_strides 2,1 --s4.stem_width 8)
lstm=(--network.backbone lstm --lstm.width 8 --lstm.depth 1 --lstm.stem_width 8)
go=(ecgfm pretrain --data a/set --data b/set --objective cpc --cpc.horizon 3 --cpc.negatives 7
    --batch 8 --epochs 2 --seed 5 --input.seconds 2 --input.normalization lead_record
    --allow-patient-overlap) # both sets number their patients from 1
field() { sed -n "s/^ *\"$2\": *\([^,]*\),*$/\1/p" "$1" | head -1; }

"${go[@]}" "${s4[@]}" --cpc.head mlp --out whole --quiet >/dev/null
echo "records $(field whole/config.json records) of $(field whole/config.json title)"
grep -c '"cpc.accuracy"' whole/metrics.jsonl >/dev/null && echo "accuracy is told"

slow=("${go[@]}" "${s4[@]}" --cpc.head mlp --cpc.records 2 --epochs 6 --checkpoint_seconds 0 --quiet)
"${slow[@]}" --out straight >/dev/null
for delay in 0.05 0.1 0.07; do
    "${slow[@]}" --out killed >/dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
done
"${slow[@]}" --out killed >/dev/null
diff -r -x log.txt -x config.json straight killed && echo "went on"
"${slow[@]}" --out threads --threads 1 >/dev/null
cmp straight/model.safetensors threads/model.safetensors && echo "the same with one thread"

# With commas in place of the option again, and not in another order: what was pre-trained goes on.
refused() { "$@" --quiet 2>&1 >/dev/null | sed -n 's/^error: //p'; }
ecgfm pretrain --data a/set,b/set "${go[@]:6}" "${s4[@]}" --cpc.head mlp --out whole --quiet >/dev/null &&
    echo "the same run"
refused ecgfm pretrain --data b/set,a/set "${go[@]:6}" "${s4[@]}" --cpc.head mlp --out whole |
    grep -o 'other data\|--fresh' | head -1

# A patient of both sets in other folds is refused.
refused ecgfm pretrain --data a/set,b/set --objective cpc "${lstm[@]}" --out leak |
    grep -o 'patients have records on more than one side'

ecgfm finetune --data a/set --weights whole --input.seconds 1 --epochs 1 --batch 8 --bootstrap 0 \
    --out tuned --quiet >/dev/null
ecgfm inspect tuned/model.safetensors --quiet | grep -o '1 s (100 samples)'
refused ecgfm finetune --data a/set --weights whole --input.seconds 1.01 --out bad
refused ecgfm finetune --data a/set --weights whole --input.rate_hz 50 --out bad
refused ecgfm finetune --data a/set --data b/set --weights whole --out bad
refused "${go[@]}" --model vit-tiny --out bad
refused "${go[@]}" --network.backbone s4 --out bad
refused "${go[@]}" "${lstm[@]}" --lstm.stem 5,1 --out bad
refused "${go[@]}" "${lstm[@]}" --cpc.horizon 200 --out bad
refused "${go[@]}" "${lstm[@]}" --lstm.stem 1,x --out bad
refused "${go[@]}" "${lstm[@]}" --lstm.stem 4 --out bad
refused "${go[@]}" "${lstm[@]}" --lstm.stem_strides 1,2 --out bad
refused "${go[@]}" "${lstm[@]}" --lstm.stem_strides 3 --out bad
refused ecgfm pretrain --data a/set,nowhere --out bad
