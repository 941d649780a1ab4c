# Sex, age, and columns of a table as targets: what is learned, told, evaluated and inferred; what does not
# fit is refused.
set -e
ecgfm synth --out data --records 80 --duration 4 --seed 3 --quiet >/dev/null
small=(--vit.width 16 --vit.depth 2 --vit.heads 2 --input.seconds 2 --seed 5 --quiet)
tune=(ecgfm finetune --data data --weights random "${small[@]}" --batch 8 --epochs 2)
probe=(ecgfm probe --data data --weights random "${small[@]}")
refused() { "$@" 2>&1 >/dev/null | sed 's/^[^:]*: //'; }
member() { tr -d '\n\t ' <"$1/metrics.json" | grep -o "\"$2\":[^,]*"; }

echo "-- age"
"${tune[@]}" --task age --out age | sed 's/[-0-9.]\+/N/g; s/ \+/ /g'
head -1 age/predictions.csv
member age kind
grep -c validation_macro_r2 age/metrics.jsonl
ecgfm infer --model age data/records100/00000/00001_lr.hea --quiet | sed 's/"age":[-0-9.]*/"age":N/'
ecgfm infer --model age data/records100/00000/00001_lr.hea --quiet --csv - | head -1
ecgfm inspect age/model.safetensors | grep '^values of\|  age' | sed 's/[0-9.]\+/N/g'
ecgfm infer --model age data --quiet >age.jsonl
ecgfm eval --scores age.jsonl --data data --task age --bootstrap 0 --quiet >by_scores.txt
ecgfm eval --predictions age/predictions.csv --bootstrap 0 --quiet >by_predictions.txt
cmp by_scores.txt by_predictions.txt && echo "scores and predictions agree"
ecgfm eval --predictions age/predictions.csv --require 'mae<=0.001,macro_mae>0,mae.age<1000,n>1' >/dev/null 2>messages.txt || echo "exit $?"
grep -c 'met$' messages.txt
refused ecgfm eval --compare age/predictions.csv age/predictions.csv
"${probe[@]}" --task age --out age-probe --bootstrap 0 >/dev/null
member age-probe solver
cmp -s age/model.safetensors age-probe/model.safetensors || echo "another model"

echo "-- sex"
"${probe[@]}" --task sex --out sex --bootstrap 0 | sed 's/[0-9.]\+/N/g; s/ \+/ /g; s/nan/N/g'

echo "-- a table"
awk -F, 'NR > 1 && NR < 80 {print $1 "," NR % 2 "," (NR % 3 ? NR % 5 > 2 : "")}' data/ptbxl_database.csv >rows.csv
{ echo ecg,af,vt; cat rows.csv; echo 9999,1,1; } >targets.csv
"${tune[@]}" --targets targets.csv --task mine --out mine --bootstrap 0 --verbose 2>&1 >/dev/null | grep 'targets.csv'
head -1 mine/predictions.csv
tr -d '\n\t ' <mine/metrics.json | grep -o '"task":"[a-z]*"'
tr -d '\n\t ' <mine/metrics.json | grep -o '"name":"[a-z]*","code":"[a-z]*","n":[0-9]*'
ecgfm infer --model mine data --quiet >mine.jsonl
ecgfm eval --scores mine.jsonl --data data --targets targets.csv --bootstrap 0 --quiet >by_scores.txt
ecgfm eval --predictions mine/predictions.csv --bootstrap 0 --quiet >by_predictions.txt
cmp by_scores.txt by_predictions.txt && echo "scores and predictions agree"
refused "${probe[@]}" --targets targets.csv --out bad
refused "${tune[@]}" --targets targets.csv --target_columns a --out bad
sed 's/^9999,1,1/1,1,1/' targets.csv >twice.csv
refused "${tune[@]}" --targets twice.csv --out bad
sed 's/^2,[01],/2,yes,/' targets.csv >text.csv
refused "${tune[@]}" --targets text.csv --out bad
cp targets.csv changed.csv
"${tune[@]}" --targets changed.csv --target_columns af --out again >/dev/null
sed -i 's/^3,0/3,1/; t; s/^3,1/3,0/' changed.csv
refused "${tune[@]}" --targets changed.csv --target_columns af --out again | grep -o 'holds another run'
refused "${tune[@]}" --task age --aggregation max --out bad
refused "${tune[@]}" --task age --positive_weights balance --out bad
