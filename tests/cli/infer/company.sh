# A record's scores are the same bytes alone, among others, in any order and on one or two threads.
set -e
ecgfm synth --out data --records 50 --duration 5 --seed 2 --quiet >/dev/null
ecgfm finetune --data data --weights random --vit.width 32 --vit.depth 2 --vit.heads 2 \
    --input.seconds 2 --epochs 1 --bootstrap 0 --out model --quiet >/dev/null
ecgfm infer --model model data/records100 --threads 2 --quiet >all.jsonl
wc -l <all.jsonl
ecgfm infer --model model/model.safetensors data/records100 --threads 1 --quiet | cmp - all.jsonl
find data/records100 -name '*.hea' | sort -r | ecgfm infer --model model --stdin --quiet | sort | cmp - <(sort all.jsonl)
for n in 7 23; do
    ecgfm infer --model model data/records100/00000/000$(printf %02d $n)_lr.hea --quiet |
        cmp - <(sed -n ${n}p all.jsonl)
done
ecgfm infer --model model 'data/records100/00000/0000*_lr.hea' --quiet | cmp - <(head -9 all.jsonl)
# The table says the same.
ecgfm infer --model model data/records100 --csv scores.csv --quiet
head -1 scores.csv
wc -l <scores.csv
# predictions.csv of the test fold and infer agree to the last digit.
id=$(printf %05d "$(sed -n 2p model/predictions.csv | cut -d, -f1)")
sed -n 2p model/predictions.csv | cut -d, -f9- >one
printf '%s\n' "$(grep "${id}_lr" all.jsonl | sed 's/.*"scores":{\([^}]*\)}.*/\1/; s/"[A-Z]*"://g')" | cmp - one
ecgfm infer --model model data/records100 --embeddings features.safetensors --quiet >/dev/null
grep -ao '"shape":\[50,64\]' features.safetensors
