# Ways to adapt: each learns its part, an adapter and its base make the model of the run in every storage,
# another base is refused, and so is what the network has not.
set -e
ecgfm synth --out data --records 80 --duration 4 --seed 3 --quiet >/dev/null
ecgfm pretrain --data data --objective mae --epochs 1 --batch 16 --vit.width 16 --vit.depth 2 --vit.heads 2 \
    --input.seconds 2 --mae.width 16 --mae.depth 1 --mae.heads 2 --out pre --quiet >/dev/null
tune=(ecgfm finetune --data data --weights pre --batch 8 --epochs 2 --bootstrap 0 --seed 5 --quiet)
learned() { grep -o '"learned_parameters":.[0-9]*' "$1/metrics.json"; }
scores() { ecgfm infer --model "$@" --quiet data; }
refused() { "$@" 2>&1 >/dev/null | sed 's/^[^:]*: //'; }

for how in head lora adapter bias; do
    "${tune[@]}" --adapt $how --out $how >/dev/null
    echo "$how $(learned $how)"
    ecgfm convert --adapter $how pre $how.safetensors --quiet >/dev/null
    cmp <(scores $how) <(scores $how.safetensors) && echo "the same scores"
    ecgfm convert $how $how-int8.safetensors --dtype int8 --quiet >/dev/null
    scores $how-int8.safetensors --precision int8 | grep -c '"status":"ok"'
done
"${tune[@]}" --adapt full --out full >/dev/null
echo "full $(learned full) $(ls full | grep -c adapter || true)"
"${tune[@]}" --adapt lora --lora.targets 'mlp.*' --lora.rank 2 --out mlp >/dev/null
echo "mlp $(learned mlp)"
"${tune[@]}" --adapt head --network.pool attention --head.pool_heads 2 --out attention >/dev/null
echo "attention $(learned attention)"
# Adapters go on from where they are.
ecgfm finetune --data data --weights adapter --batch 8 --epochs 1 --bootstrap 0 --adapt head --out again --quiet >/dev/null
cmp <(ecgfm inspect adapter/model.safetensors --quiet | grep adapter1) <(ecgfm inspect again/model.safetensors --quiet | grep adapter1) \
    && echo "adapters kept"

# Adapters keep the width that they have; none comes or goes untold; two widths are named.
ecgfm finetune --data data --weights pre --batch 8 --epochs 1 --bootstrap 0 --adapt adapter --network.adapter_width 8 \
    --out narrow --quiet >/dev/null
narrow=(ecgfm finetune --data data --weights narrow --batch 8 --epochs 1 --bootstrap 0 --quiet --adapt)
"${narrow[@]}" adapter --out narrower >/dev/null && learned narrower
refused "${narrow[@]}" adapter --network.adapter_width 16 --out bad
refused "${narrow[@]}" full --network.adapter_width 0 --out bad
refused ecgfm probe --data data --weights pre --bootstrap 0 --network.adapter_width 8 --out bad-probe --quiet
# A base that goes away during the run costs the adapter alone.
cp -r pre base
mkdir gone
"${tune[@]}" --adapt lora --weights base --epochs 3 --out gone 2>/dev/null >/dev/null & run=$!
for _ in $(seq 600); do [ -s gone/metrics.jsonl ] && break; sleep 0.02; done
mv base moved
wait $run || true
ls gone/model.safetensors gone/metrics.json

refused ecgfm convert --adapter lora full other.safetensors --quiet | sed 's/encoder [0-9a-f]*, this one is [0-9a-f]*$/another/'
refused ecgfm infer --model lora/adapter.safetensors data --quiet
refused "${tune[@]}" --adapt lora --lora.targets nowhere --out bad
refused "${tune[@]}" --adapt head --lora.rank 4 --out bad
refused "${tune[@]}" --adapt none --out bad
