# A data set of the kind ptbxl brings its published protocol; what a model says of its own input wins over
# it, and what the user says over both. Normalization is that of the records that take part.
set -e
ecgfm synth --out set --records 60 --duration 6 --seed 3 --quiet >/dev/null
small=(--vit.width 16 --vit.depth 1 --vit.heads 2)
probe=(ecgfm probe --data set --weights random --bootstrap 0 --quiet)
value() { tr -d '\n\t ' <"$1/config.json" | grep -o "\"$2\":{[^}]*}"; }
"${probe[@]}" "${small[@]}" --out plain >/dev/null
for key in aggregation input.rate_hz input.seconds input.normalization input.windows input.lowpass_hz; do
    value plain $key
done
# A probe is fitted to the mean of features over windows: its windows are not those of the protocol.
ecgfm finetune --data set --weights random "${small[@]}" --epochs 1 --batch 16 --bootstrap 0 --quiet --out tuned >/dev/null
value tuned aggregation
"${probe[@]}" "${small[@]}" --classifier knn --aggregation max --out bad 2>&1 | sed 's/^[^:]*: //'
"${probe[@]}" "${small[@]}" --out mean --aggregation mean --input.seconds 2 >/dev/null
value mean aggregation
value mean input.seconds
fm=(--model ecg-fm-small --w2v.width 16 --w2v.depth 1 --w2v.heads 2 --w2v.conv-width 16 --w2v.conv-norm-groups 4
    --w2v.position-kernel 8 --w2v.position-groups 4)
"${probe[@]}" "${fm[@]}" --out fm >/dev/null
for key in aggregation input.rate_hz input.seconds input.normalization input.windows; do value fm $key; done
ecgfm inspect tuned/model.safetensors --json --quiet | tr -d '\n\t ' | grep -o '"aggregation":"max"' | sort -u

# The same numbers in other units, but for a training record without a label of the task: that has no say.
mv set other
awk -F, -v OFS=, 'NR > 1 && !done && /\{/ { if (sub(/"\{[^}]*\}"/, "\"{}\"")) { print "unlabelled " $1 >"id"; done = 1 } } 1' \
    other/ptbxl_database.csv >table
cp table other/ptbxl_database.csv
ecgfm probe --data other --weights random --bootstrap 0 --quiet "${small[@]}" --out unlabelled >/dev/null
statistics() { tr -d '\n\t ' <"$1/config.json" | grep -o '"mean":\[[^]]*\]'; }
[ "$(statistics plain)" != "$(statistics unlabelled)" ] && echo "it has no say"
