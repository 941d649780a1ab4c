# Recipes and weights of positives: what is said wins over a recipe; balance is what its numbers say; what
# does not fit is refused, and a run does not go on with other weights.
set -e
ecgfm synth --out data --records 80 --duration 4 --seed 3 --quiet >/dev/null
small=(--vit.width 16 --vit.depth 2 --vit.heads 2 --input.seconds 2)
tune=(ecgfm finetune --data data --weights random "${small[@]}" --batch 8 --seed 5 --bootstrap 0 --epochs 1 --quiet)
same() { cmp -s "$1/predictions.csv" "$2/predictions.csv" && echo "$1 and $2 agree" || echo "$1 and $2 differ"; }

"${tune[@]}" --out plain >/dev/null
"${tune[@]}" --out balanced --positive_weights balance >/dev/null
tr -d '\n\t ' <balanced/metrics.json | sed 's/.*"positive_weights":\(\[[^]]*\]\).*/\1/' >w.txt
"${tune[@]}" --out listed --positive_weights w.txt >/dev/null
same plain balanced
same balanced listed
sed 's/[0-9.][0-9.]*/1/g' w.txt >ones.txt
"${tune[@]}" --out ones --positive_weights ones.txt >/dev/null
same plain ones
cp ones.txt w.txt
refused() { "$@" 2>&1 >/dev/null | sed 's/^[^:]*: //'; }
refused "${tune[@]}" --out listed --positive_weights w.txt | grep -o 'holds another run'
echo '[1, 2]' >short.txt
refused "${tune[@]}" --out bad --positive_weights short.txt
sed 's/^\[1/[inf/' ones.txt >inf.txt
refused "${tune[@]}" --out bad --positive_weights inf.txt | grep -o 'inf.txt'
sed 's/^\[1/[0/' ones.txt >zero.txt
refused "${tune[@]}" --out bad --positive_weights zero.txt

probe=(ecgfm probe --data data --weights random "${small[@]}" --seed 5 --bootstrap 0 --quiet)
"${probe[@]}" --out probe-plain >/dev/null
"${probe[@]}" --out probe-balanced --positive_weights balance >/dev/null
"${probe[@]}" --out probe-ones --positive_weights ones.txt >/dev/null
same probe-plain probe-balanced
same probe-plain probe-ones

value() { tr -d '\n\t ' <"$1/config.json" | sed "s/.*\"$2\":{\"value\":\([^,]*\),\"source\":\"\([a-z]*\)\"}.*/$2 \1 \2/"; echo; }
"${tune[@]}" --out recipe --recipe ecg-fm --weight_decay 0.5 >/dev/null
for key in optimizer schedule lr beta2 clip batch weight_decay; do value recipe $key; done
refused "${tune[@]}" --out bad --recipe ecgfm
refused "${tune[@]}" --out bad --schedule triangle
