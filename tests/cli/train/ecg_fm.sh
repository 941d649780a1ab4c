# Pre-training as ECG-FM: pairs of segments, the same bytes after kills; what the file keeps of it; going on
# from it; its recipe of fine-tuning. Records of one segment are left out and named.
set -e
ecgfm synth --out data --records 40 --duration 10 --seed 3 --quiet >/dev/null
own=(--w2v.codes 16 --w2v.dim 16 --w2v.negatives 10)
tiny=(--w2v.width 32 --w2v.depth 2 --w2v.heads 2 --w2v.conv_width 16 --w2v.conv_norm_groups 16
    --w2v.position_kernel 16 --w2v.position_groups 4)
pre=(ecgfm pretrain --data data --objective ecg-fm --batch 8 --epochs 2 --seed 5 "${own[@]}")
"${pre[@]}" "${tiny[@]}" --out whole --threads 2 2>&1 >/dev/null | grep -o '[0-9]* pairs of adjacent segments'
value() { tr -d '\n\t ' <"$1/config.json" | sed "s/.*\"$2\":{\"value\":\([^,]*\),\"source\":\"\([a-z]*\)\"}.*/$2 \1 \2/"; echo; }
for key in model optimizer schedule lr beta2 epsilon clip augment.lead_mask.spare input.normalization; do value whole $key; done
ecgfm inspect whole/model.safetensors --quiet | sed -n 's/^  \(w2v\.[a-z_.]*\) .*/\1/p'

for delay in 0.2 0.3 0.25; do
    "${pre[@]}" "${tiny[@]}" --out killed --checkpoint_seconds 0 --threads 1 >/dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
done
"${pre[@]}" "${tiny[@]}" --out killed --checkpoint_seconds 0 --quiet >/dev/null
diff -r -x log.txt -x config.json whole killed && echo "the same after kills"

"${pre[@]}" --weights whole --out more 2>&1 >/dev/null | grep -o 'from its parameters of .*'
value more w2v.dropout

tune=(ecgfm finetune --data data --weights whole --recipe ecg-fm --epochs 1 --batch 8 --bootstrap 0 --quiet)
"${tune[@]}" --out tuned >/dev/null
for key in lr optimizer w2v.feature_gradient w2v.dropout w2v.activation_dropout; do value tuned $key; done
"${tune[@]}" --out own --w2v.feature_gradient 0.5 --lr 1e-5 >/dev/null
for key in lr w2v.feature_gradient; do value own $key; done

ecgfm synth --out brief --records 20 --duration 6 --seed 3 --quiet >/dev/null
"${pre[@]/#data/brief}" "${tiny[@]}" --out none 2>&1 >/dev/null | grep -o 'records cannot be used\|takes 2500 at once, and'
