# Several runs by one command: each leaves the folder that it leaves alone, is not made twice, goes on
# after an interruption, and the table is that of all.
set -e
ecgfm synth --out data --records 60 --duration 4 --seed 3 --quiet >/dev/null
small=(--data data --vit.width 16 --vit.depth 1 --vit.heads 2 --input.seconds 2 --epochs 6 --batch 16 --bootstrap 20)
bench=(ecgfm benchmark "${small[@]}" --seed 5 --tasks super,rhythm)
refused() { "$@" --quiet 2>&1 >/dev/null | sed 's/^[^:]*: //' || true; }

"${bench[@]}" --out all --seeds 2 --methods finetune,probe --quiet >table.txt
cmp table.txt all/table.md && grep -E '^\|' table.txt | sed 's/\.[0-9]*([0-9]*)/.000(00)/g; s/ \+/ /g'
grep -c '^- ' table.txt
cut -d, -f 1-11 all/table.csv

# The folder of a run is that of the single command, but for its time and its sources of options.
ecgfm finetune "${small[@]}" --seed 6 --weights random --task rhythm --out alone --quiet >/dev/null
diff -r -x log.txt -x config.json -x report.html alone all/rhythm-finetune-s6 && echo "as alone"

# Nothing is made twice, unless it would be another run.
"${bench[@]}" --out all --seeds 2 --methods finetune,probe 2>&1 >again.txt | grep -c 'is there$'
cmp table.txt again.txt && echo "the same table"
refused "${bench[@]}" --out all --lr 1e-4 | grep -o 'holds another run'
"${bench[@]}" --out all --methods probe --input.seconds 1.5 2>&1 >/dev/null | grep -o 'probe-s5: begins'
rm all/super-finetune-s5/metrics.json
"${bench[@]}" --out all --methods finetune 2>&1 >/dev/null | grep -o 'finetune-s5: [a-z ]*$'

# Stopped again and again, and the same bytes in the end.
for delay in 0.15 0.3 0.2 0.25 0.35; do
    status=0
    timeout -s TERM $delay "${bench[@]}" --out stopped --checkpoint_seconds 0 --quiet >/dev/null 2>&1 || status=$?
    [ $status = 0 ] || [ $status = 124 ] || echo "exit $status"
done
"${bench[@]}" --out stopped --checkpoint_seconds 0 --quiet >/dev/null
diff -r all/rhythm-finetune-s5 stopped/rhythm-finetune-s5 -x log.txt -x report.html -x config.json -x checkpoint.safetensors && echo "went on"
ecgfm benchmark "${small[@]}" --seed 5 --tasks super --out signal --epochs 100000 --quiet >/dev/null 2>&1 &
for _ in $(seq 100); do [ -s signal/super-finetune-s5/metrics.jsonl ] && break; sleep 0.05; done
kill -TERM $! && status=0 && wait $! || status=$?
echo "exit $status"

# Refused before anything runs.
refused "${bench[@]}" --out none --tasks super,rythm
refused "${bench[@]}" --out none --methods finetune,prob
refused "${bench[@]}" --out none --fractions 0.1,2
refused "${bench[@]}" --out alone | grep -o 'holds a run.*'
refused ecgfm finetune "${small[@]}" --weights random --curve --label_fraction 0.5 --out none
[ -e none/table.md ] || echo "nothing ran"

# Controls: the network of the weights without what it has learned.
ecgfm pretrain --data data --vit.width 16 --vit.depth 1 --vit.heads 2 --input.seconds 2 --epochs 1 --batch 16 \
    --mae.width 16 --mae.depth 1 --mae.heads 2 --out mae --quiet >/dev/null
ecgfm probe --data data --weights mae --controls --curve --fractions 0.3,1 --bootstrap 20 --out curve --quiet >curve.txt
cmp curve.txt curve/table.md && grep -E '^\|' curve.txt | sed 's/[01]\.[0-9]* \[[^]]*\]/0.0 [0.0, 0.0]/g; s/ \+/ /g'
cut -d, -f 1,3-5,8 curve/table.csv
ecgfm probe --data data --weights mae --seeds 2 --label_fraction 0.3 --bootstrap 20 --out half --quiet >/dev/null
cut -d, -f 1,3-5,8 half/table.csv
tr -d '\n\t ' <curve/super-random-f1-s0/config.json | grep -o '"untrained":{"value":true'
cmp -s curve/super-probe-f1-s0/predictions.csv curve/super-random-f1-s0/predictions.csv || echo "another encoder"

# From scratch everything learns, whatever the other runs adapt; nothing of a random encoder was seen before.
ecgfm pretrain --data data --vit.width 16 --vit.depth 1 --vit.heads 2 --input.seconds 2 --epochs 1 --batch 16 \
    --mae.width 16 --mae.depth 1 --mae.heads 2 --split all --out seen --quiet >/dev/null
ecgfm finetune --data data --weights seen --adapt lora --lora.rank 2 --controls --epochs 1 --batch 16 \
    --bootstrap 0 --out controls --quiet >/dev/null 2>&1
for run in finetune random scratch; do
    echo "$run $(tr -d '\n\t ' <controls/super-$run-s0/metrics.json | grep -oE '"(adapt|held_out_[a-z_]*)":"?[a-z]*' | tr '\n' ' ')"
done
ecgfm finetune --data data --weights seen --untrained --adapt head --epochs 1 --batch 16 --bootstrap 0 \
    --out untrained --quiet >/dev/null 2>&1
ls untrained | grep adapter || echo "no adapter of a random encoder"

# Methods are rows; a task of values has its own score.
ecgfm benchmark --data data --weights mae --tasks super,age --methods head,attention,lora,probe \
    --epochs 1 --batch 16 --bootstrap 0 --out methods --quiet |
    grep -E '^\||^- age' | sed 's/-*[0-9]*\.[0-9]*/0.0/g; s/([0-9]*)/(00)/g; s/ \+/ /g'
