# What is written beside the scores: tokens, saliency, attention and embeddings of records alone and
# among others, by record and by segment, of a classifier and of an encoder without a head.
set -e
data() { tail -c +$((9 + $(od -An -tu8 -N8 "$1"))) "$1"; }                    # FILE -> its tensors
header() { head -c $((8 + $(od -An -tu8 -N8 "$1"))) "$1" | tail -c +9; echo; } # FILE -> its JSON
shapes() { header "$1" | grep -o '"[a-z.0-9]*":{"dtype":"[A-Z0-9]*","shape":\[[0-9,]*\]' || true; }
numbers() { od -An -v -tf4 -w4 | tr -d ' '; }
floats() { data "$1" | head -c $((4 * $2)) | numbers; }                         # FILE COUNT
ecgfm synth --out data --records 12 --duration 5 --seed 2 --quiet >/dev/null
ecgfm synth --out short --records 1 --duration 2 --seed 3 --quiet >/dev/null
ecgfm finetune --data data --weights random --vit.width 32 --vit.depth 3 --vit.heads 2 \
    --input.seconds 2 --epochs 1 --batch 2 --bootstrap 0 --out model --quiet >/dev/null
six='data/records100/00000/0000[1-6]_lr.hea'
all="--tokens tokens.st --saliency saliency.st --attention attention.st"
ecgfm infer --model model "$six" --quiet >scores.jsonl
# Asking for more changes no score.
ecgfm infer --model model "$six" $all --embeddings e.st --quiet | cmp - scores.jsonl
for f in tokens saliency attention e; do
    echo "$f"
    shapes $f.st
done
# A record alone and among others: the same bits. 4 windows of 20 tokens, 32 wide.
for i in 0 3 5; do
    path=$(sed -n $((i + 1))p scores.jsonl | cut -d'"' -f4)
    ecgfm infer --model model "$path" --tokens one.st --saliency one-s.st --attention one-a.st \
        --threads 1 --quiet >/dev/null
    bytes=$((4 * 4 * 20 * 32))
    cmp <(data one.st | head -c $bytes) <(data tokens.st | tail -c +$((1 + i * bytes)) | head -c $bytes)
    bytes=$((4 * 4 * 20))
    cmp <(data one-s.st | head -c $bytes) \
        <(data saliency.st | tail -c +$((1 + i * bytes)) | head -c $bytes)
    bytes=$((4 * 4 * 3 * 20 * 20))
    cmp <(data one-a.st | head -c $bytes) \
        <(data attention.st | tail -c +$((1 + i * bytes)) | head -c $bytes)
done
header one.st | grep -o '"__metadata__":{[^}]*}' | sed 's/"backend":"[^"]*"/"backend":/'
# Rows of attention sum to 1; saliency is the largest of each row of the last layer.
floats attention.st $((24 * 3 * 400)) | awk '
    { sum += $1; most = NR % 20 == 1 || $1 > most ? $1 : most }
    NR % 20 == 0 { if (sum < 0.99999 || sum > 1.00001) print "row", NR / 20, sum; sum = 0 }
    NR % 20 == 0 && (NR - 1) % 1200 >= 800 { print most }' >most
floats saliency.st $((24 * 20)) | cmp - most
# By sample: a smooth curve with the same ends.
ecgfm infer --model model "$six" --saliency curve.st --saliency-per sample --quiet >/dev/null
shapes curve.st
paste <(floats curve.st $((24 * 200)) | awk 'NR % 200 <= 1') <(awk 'NR % 20 <= 1' most) |
    awk '($1 - $2) ^ 2 > 1e-12'
# Features by segment: their mean is that of the record.
ecgfm infer --model model "$six" --embeddings s.st --embeddings-per segment --quiet >/dev/null
shapes s.st
paste <(floats s.st $((24 * 64)) | awk '
    { sum[(NR - 1) % 64] += $1 / 4 }
    NR % 256 == 0 { for (i = 0; i < 64; i++) { print sum[i]; sum[i] = 0 } }') <(floats e.st 384) |
    awk '($1 - $2) ^ 2 > 1e-10'
data s.st | tail -c $((24 * 2 * 4)) | od -An -v -td4 -w96
# Records of different lengths: a tensor for each. What is refused leaves no trace.
ecgfm infer --model model short/records100 nowhere.hea data/records100/00000/00002_lr.hea \
    --tokens t.st --saliency s.st --quiet >/dev/null || echo "exit $?"
shapes t.st
cmp <(data t.st | tail -c +$((1 + 4 * 20 * 32)) | head -c 10240) \
    <(data tokens.st | tail -c +$((1 + 10240)) | head -c 10240)
header t.st | grep -o '"files":"[^]]*'
shapes s.st
# An encoder without a head.
ecgfm pretrain --data data --objective mae --vit.width 32 --vit.depth 2 --vit.heads 2 --input.seconds 2 \
    --steps 1 --batch 2 --out encoder --quiet >/dev/null
ecgfm infer --model encoder "$six" $all --quiet | head -1
shapes attention.st
# Single leads have tokens of their own.
ecgfm pretrain --data data --objective mae --vit.width 16 --vit.depth 1 --vit.heads 2 --vit.patch 50 \
    --vit.patch-leads one --input.seconds 2 --steps 1 --batch 2 --out leads --quiet >/dev/null
ecgfm infer --model leads short/records100 --saliency s.st --saliency-per sample --quiet >/dev/null
shapes s.st
ls | grep tmp || true
