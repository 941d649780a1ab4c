# Pre-training goes on from a file: the encoder, and the parameters of objectives whose options agree;
# what the file fixes cannot be said anew, what concerns training can.
set -e
ecgfm synth --out data --records 40 --duration 4 --seed 3 --quiet >/dev/null
heads=(--mae.width 16 --mae.depth 1 --mae.heads 2 --simclr.hidden 16 --simclr.projection 8)
small=(--vit.width 16 --vit.depth 2 --vit.heads 2 --input.seconds 2)
go=(ecgfm pretrain --data data --batch 8 --seed 5 "${heads[@]}")
parameters() { ecgfm inspect "$1/model.safetensors" --quiet | sed -n '/^parameters/,$p' | grep -c "$2" || true; }

"${go[@]}" "${small[@]}" --objective mae --epochs 2 --out first --quiet >/dev/null
echo "mae $(parameters first '  mae\.') simclr $(parameters first '  simclr\.')"
ecgfm inspect first/model.safetensors --json --quiet | grep -c '"objective": "mae"'

# A rate of zero changes nothing: what is saved is what was started from.
still=("${go[@]}" --lr 0 --min_lr 0 --epochs 1 --weights first)
values() { ecgfm convert --model "$1" --dtype f32 --out "$1.f32" --fresh --quiet >/dev/null
    tail -c +$(($(head -c 8 "$1.f32" | od -An -tu8) + 9)) "$1.f32" | cksum; }
"${still[@]}" --objective mae --out same 2>&1 >/dev/null | grep -o 'from its parameters of mae'
[ "$(values first/model.safetensors)" = "$(values same/model.safetensors)" ] && echo "the same values"
"${still[@]}" --objective mae --mae.mask_ratio 0.5 --out other 2>&1 >/dev/null | grep -o 'objectives start anew'
[ "$(values first/model.safetensors)" = "$(values other/model.safetensors)" ] || echo "another decoder"
"${still[@]}" --objective mae+simclr --out both 2>&1 >/dev/null | grep -o 'from its parameters of mae$'
echo "mae $(parameters both '  mae\.') simclr $(parameters both '  simclr\.')"

# Going on after a kill, as ever.
more=("${go[@]}" --objective mae --epochs 3 --weights first --vit.drop_path 0.2 --checkpoint_seconds 0 --quiet)
"${more[@]}" --out whole >/dev/null
for delay in 0.05 0.1 0.07; do
    "${more[@]}" --out killed >/dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
done
"${more[@]}" --out killed >/dev/null
diff -r -x log.txt -x config.json whole killed && echo "went on"

refused() { "$@" --quiet 2>&1 >/dev/null | sed 's/^[^:]*: //'; }
refused "${go[@]}" --weights first --out bad --vit.depth 3
refused "${go[@]}" --weights first --out bad --input.seconds 1
refused "${go[@]}" --weights first --out bad --model vit-tiny
refused ecgfm finetune --data data --weights first --out bad --vit.heads 4
ecgfm finetune --data data --weights first --out tuned --epochs 1 --batch 8 --bootstrap 0 --quiet \
    --vit.drop_path 0.1 --network.pool mean >/dev/null && echo "tuned $(parameters tuned '  mae\.')"
