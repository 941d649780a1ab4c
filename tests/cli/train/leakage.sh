# Patients on several sides of the split are refused, with their names, by what trains and what evaluates;
# a table of folds mends it, and knowing better is possible and told.
set -e
ecgfm synth --out data --records 60 --duration 4 --seed 3 --quiet >/dev/null
table=data/ptbxl_database.csv
small=(--vit.width 16 --vit.depth 2 --vit.heads 2 --input.seconds 2 --seed 5 --quiet --epochs 1 --batch 8)
tune=(ecgfm finetune --data data --weights random "${small[@]}" --bootstrap 0)
refused() { "$@" 2>&1 >/dev/null | sed 's/^[^:]*: //' || true; }
member() { tr -d '\n\t ' <"$1" | grep -o "\"$2\":[^,}]*" || echo "no $2"; }

"${tune[@]}" --out fine >/dev/null
member fine/config.json patients_on_several_sides
ecgfm infer --model fine data --quiet >scores.jsonl
cp $table good.csv
# the patient of the first record gets the last one too, in another fold
awk -F, -v OFS=, 'NR == 2 {patient = $2} NR == 61 {$2 = patient; sub(/,[0-9]+,records/, ",10,records")}
    NR == 2 {sub(/,[0-9]+,records/, ",1,records")} {print}' good.csv >$table
"${tune[@]}" --out bad >/dev/null 2>message.txt || echo "exit $?"
sed 's/patients have.*: [0-9]* (rec/patients have ... (rec/' message.txt
refused ecgfm pretrain --data data --out bad "${small[@]}" | grep -c 'more than one side'
ecgfm pretrain --data data --out all "${small[@]}" --split all >/dev/null && echo "nothing is held out: fine"
refused ecgfm eval --scores scores.jsonl --data data --quiet | grep -c 'more than one side'
ecgfm eval --scores scores.jsonl --data data --split all --quiet >/dev/null && echo "all is no side: fine"
"${tune[@]}" --out knowing --allow_patient_overlap >/dev/null 2>message.txt
grep -c 'better than they should be' message.txt
member knowing/config.json patients_on_several_sides
ecgfm eval --scores scores.jsonl --data data --quiet --allow_patient_overlap >/dev/null 2>&1 && echo evaluated

echo "-- folds of a table"
awk -F, 'NR == 1 {print "patient,fold"} NR > 1 && !seen[$2]++ {print $2 "," NR % 10 + 1}' $table >folds.csv
"${tune[@]}" --folds folds.csv --out mended >/dev/null 2>&1
member mended/config.json patients_on_several_sides
awk -F, 'NR > 1 {print $2}' mended/predictions.csv | sort -u
sed -i '$d' folds.csv
echo nobody,3 >>folds.csv
"${tune[@]}" --folds folds.csv --out mended --fresh 2>&1 >/dev/null | sed 's/: [0-9]* of/: N of/; s/of [0-9]* rows/of N rows/; s/line [0-9]*/line N/'

echo "-- what a run has learned from"
cp good.csv $table
head -1 fine/split.csv
awk -F, 'NR > 1 {print $5}' fine/split.csv | sort | uniq -c | sed 's/ \+/ /g'
ecgfm eval --scores scores.jsonl --data data --trained fine --quiet >/dev/null && echo "the test fold is new"
refused ecgfm eval --scores scores.jsonl --data data --split train --trained fine --quiet | sed 's/of [0-9]* of/of N of/; s/records: .*;/records: ...;/'
refused ecgfm eval --scores scores.jsonl --data data --split train --trained data --quiet
tune=(ecgfm finetune --data data "${small[@]:8}" --bootstrap 0)
"${tune[@]}" --weights all/model.safetensors --out after 2>&1 >/dev/null | sed 's/of [0-9]* of [0-9]*/of N of N/; s/: [0-9, .]*$/: .../'
tr -d '\n\t ' <after/metrics.json | grep -c held_out_records_seen_by_encoder
ecgfm pretrain --data data --out some "${small[@]}" >/dev/null
"${tune[@]}" --weights some --out after --fresh 2>&1 >/dev/null
tr -d '\n\t ' <after/metrics.json | grep -c held_out_records_seen_by_encoder || echo "nothing held out was seen"
tune=(ecgfm finetune --data data --weights random "${small[@]}" --bootstrap 0)
"${tune[@]}" --folds fine/split.csv --out again >/dev/null
cmp fine/split.csv again/split.csv && echo "split.csv is a table of folds"
