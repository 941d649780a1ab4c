# A model file in each storage: scored, compared with what it came from, trained on, and nothing
# written over by mistake.
set -e
export OMP_NUM_THREADS=1
ecgfm synth --out set --records 60 --seed 1 --quiet >/dev/null
ecgfm finetune --data set --weights random --vit.width 32 --vit.depth 2 --vit.heads 2 --epochs 1 \
    --bootstrap 0 --out run --quiet >/dev/null
for dtype in f32 bf16 int8; do
    ecgfm convert --model run --dtype $dtype --out $dtype.safetensors --quiet
    ecgfm inspect $dtype.safetensors --json | grep -c '"storage": *"'$dtype'"'
    ecgfm inspect $dtype.safetensors --json | tr -d '\n\t' | grep -o '"converted":.*"to": *"[a-z0-9]*"' | tr -d ' '
    ecgfm infer --model $dtype.safetensors set/records100 --quiet >$dtype.jsonl
done
ecgfm infer --model run set/records100 --quiet | cmp - f32.jsonl
# The matrices are I8, their scales F32.
for name in head.weight head.weight.scale head.bias; do
    head -c 40000 int8.safetensors | grep -ao '"'$name'":{"dtype":"[A-Z0-9]*","shape":[^]]*\]'
done
[ "$(stat -c %s bf16.safetensors)" -lt "$(stat -c %s f32.safetensors)" ] && echo smaller
# Scores hardly move, and back in float32 they are those of the rounded file.
ecgfm eval --compare f32.jsonl int8.jsonl --data set --split all --quiet --require 'largest_change<0.02,only_first<=0' >/dev/null
ecgfm convert --model int8.safetensors --dtype f32 --out wide.safetensors 2>&1 | grep -o 'does not come back'
ecgfm infer --model wide.safetensors set/records100 --quiet | cmp - int8.jsonl
# What it was converted from stays in the list.
ecgfm inspect wide.safetensors --json | grep -c '"from"'
ecgfm convert --model run --dtype int8 --out int8.safetensors --quiet || echo "exit $?"
ecgfm convert --model run --dtype int8 --out run --quiet || echo "exit $?"
ecgfm convert --model run --dtype int8 --out int8.safetensors --fresh --quiet
ecgfm convert --model int8.safetensors --dtype int8 --out int8.safetensors --fresh --quiet
ecgfm infer --model int8.safetensors set/records100 --quiet | cmp - int8.jsonl
ecgfm convert --model set --out x 2>/dev/null || echo "exit $?"
ecgfm convert --model run 2>/dev/null || echo "exit $?"
# An encoder in int8 is where training starts from, its values read as float32.
ecgfm finetune --data set --weights int8.safetensors --epochs 1 --bootstrap 0 --out next --quiet >/dev/null
ecgfm inspect next/model.safetensors --json | grep -o '"storage": *"f32"' | head -1
