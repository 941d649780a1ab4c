# Part of the labels: how many records of how many patients is told, the same for every seed; too few are
# refused.
set -e
ecgfm synth --out data --records 80 --duration 4 --seed 3 --quiet >/dev/null
small=(--vit.width 16 --vit.depth 1 --vit.heads 2 --input.seconds 2)
probe=(ecgfm probe --data data --weights random "${small[@]}" --bootstrap 0)
tune=(ecgfm finetune --data data --weights random "${small[@]}" --batch 8 --epochs 1 --bootstrap 0)
counts() { tr -d '\n\t ' <"$1/metrics.json" | sed 's/.*"label_fraction":\({[^}]*}}\).*/\1/'; echo; }

"${probe[@]}" --label-fraction 0.25 --seed 1 --out probe 2>messages.txt >/dev/null
grep -o 'label fraction 0.25: .* patients' messages.txt
counts probe
"${tune[@]}" --label-fraction 0.25 --seed 2 --out tuned --quiet >/dev/null
[ "$(counts probe)" = "$(counts tuned)" ] && echo "the same subset"
"${probe[@]}" --label-fraction 0.25 --label-subset 2 --out other --quiet >/dev/null 2>&1
counts other
"${probe[@]}" --label-subset 2 --out other --quiet 2>&1 >/dev/null | sed 's/^[^:]*: //'
"${probe[@]}" --out all --quiet >/dev/null
grep -c label_fraction all/metrics.json || true
"${probe[@]}" --label-fraction 0.05 --out few --quiet 2>&1 >/dev/null | grep -o '[0-9]* of [0-9]* classes have no positive'
"${probe[@]}" --label-fraction 0.001 --out none --quiet 2>&1 >/dev/null | sed 's/^[^:]*: //'
