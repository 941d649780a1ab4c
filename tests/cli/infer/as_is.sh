# --as-is: the network alone. What the contract makes of a recording, handed over as it is, gives the same
# scores and tokens; other lengths where the network takes them; what does not fit is refused by name.
set -e
data() { tail -c +$((9 + $(od -An -tu8 -N8 "$1"))) "$1"; }
shapes() { grep -ao '"[a-z.0-9]*":{"dtype":"[A-Z0-9]*","shape":\[[0-9,]*\]' "$1" || true; }
npy() { # TYPE SHAPE < values
    printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "{'descr': '$1', 'fortran_order': False, 'shape': ($2), }"
    cat
}
status() {
    code=0
    "$@" 2>&1 || code=$?
    echo "exit $code"
}
scores() { grep -o '"scores":{[^}]*}'; }
ecgfm synth --out data --records 12 --duration 2 --seed 2 --quiet >/dev/null
for i in 1 2 3 4 5; do
    ecgfm inspect data/records100/00000/0000${i}_lr.hea --samples one.npy >/dev/null
    tail -c 9600 one.npy
done >values
npy '<f4' '5, 12, 200' <values >x.npy
for model in vit w2v; do
    shape="--vit.width 32 --vit.depth 2 --vit.heads 2"
    [ $model = w2v ] && shape="--network.backbone w2v --w2v.width 32 --w2v.depth 2 --w2v.heads 2
        --w2v.conv-layers 2 --w2v.position-kernel 8 --w2v.position-groups 2"
    ecgfm finetune --data data --weights random $shape --input.seconds 2 --input.normalization none \
        --epochs 1 --batch 2 --bootstrap 0 --out $model --quiet >/dev/null
    ecgfm infer --model $model "data/records100/00000/0000[1-5]_lr.hea" --tokens a.st --saliency as.st --embeddings ae.st \
        --quiet >a.jsonl
    ecgfm infer --model $model --as-is x.npy --tokens b.st --saliency bs.st --embeddings be.st \
        --quiet >b.jsonl
    cmp <(scores <a.jsonl) <(scores <b.jsonl)
    cmp <(data a.st) <(data b.st)
    cmp <(data as.st) <(data bs.st)
    cmp <(data ae.st) <(data be.st)
    sed 's/"scores":{[^}]*}/"scores":{}/' b.jsonl | tail -1
    ecgfm infer --model $model --as-is x.npy --csv - --quiet | cut -d, -f1-5 | sed -n '1p;4p'
done
# Another length, where nothing is tied to the contract's.
{
    head -c 9600 values
    head -c 9600 values
} >twice
npy '<f4' '1, 12, 400' <twice >long.npy
ecgfm infer --model w2v --as-is long.npy --tokens long.st --quiet | grep -o '"samples.*'
shapes long.st
# A value that is not finite refuses its record, and no other.
{
    head -c 4800 values
    printf '\x00\x00\xc0\x7f'
    tail -c +4805 values
} >bad
npy '<f4' '5, 12, 200' <bad >bad.npy
status ecgfm infer --model vit --as-is bad.npy --tokens c.st --quiet |
    sed 's/"scores":{[^}]*}/"scores":{}/'
shapes c.st
cmp <(data c.st | head -c 10240) <(ecgfm infer --model vit --as-is x.npy --tokens d.st --quiet >/dev/null
    data d.st | tail -c +2561 | head -c 10240)
# Valid samples of each: all of them is as without; to what is padding nothing attends.
yes 200 | head -5 >all.txt
ecgfm infer --model w2v --as-is x.npy --lengths all.txt --tokens all.st --quiet | cmp - b.jsonl
cmp <(data all.st | head -c 32000) <(data b.st | head -c 32000)
printf '200\n100\n\n 7\n4\n199\n' >some.txt
printf '\xc8\x00\x64\x00\x07\x00\x04\x00\xc7\x00' | npy '<i2' '5,' >some.npy
ecgfm infer --model w2v --as-is x.npy --lengths some.txt --attention some.st --quiet >some.jsonl
ecgfm infer --model w2v --as-is x.npy --lengths some.npy --attention same.st --quiet | cmp - some.jsonl
cmp some.st same.st
shapes some.st
data some.st | head -c $((5 * 2 * 50 * 50 * 4)) | od -An -v -tf4 -w4 | awk '
    $1 > 0 && (NR - 1) % 50 >= most { most = (NR - 1) % 50 + 1 }
    NR % 5000 == 0 { print most; most = 0 }'
# Refused.
status ecgfm infer --model vit --as-is long.npy
npy '<f4' '5, 24, 100' <values >leads.npy
status ecgfm infer --model vit --as-is leads.npy
npy '<f4' '5, 2400' <values >flat.npy
status ecgfm infer --model vit --as-is flat.npy
npy '<f8' '5, 12, 100' <values >wide.npy
status ecgfm infer --model vit --as-is wide.npy
head -c 4000 x.npy >cut.npy
status ecgfm infer --model vit --as-is cut.npy
status ecgfm infer --model vit --as-is x.npy data
status ecgfm infer --model vit --lengths x.npy data
status ecgfm infer --model vit --saliency-per sample data
status ecgfm infer --model vit --embeddings-per segment data
status ecgfm infer --model vit --as-is x.npy --lengths all.txt
for bad in '200 200' '1\n2\n3\n4' '4\n5\n6\n7\n8\n9' '9\n9\n9\n9\n201' '9\n9\n9\n9\n3' '9\0\n9\n9\n9\n9'; do
    printf "$bad" >bad.txt
    status ecgfm infer --model w2v --as-is x.npy --lengths bad.txt
done
status ecgfm infer --model w2v --as-is x.npy --lengths x.npy
status ecgfm infer --model w2v --as-is x.npy --tokens nowhere/x.st
status ecgfm infer --model w2v --as-is x.npy --tokens new.st --saliency ./new.st
status ecgfm infer --model w2v --as-is x.npy --tokens new.st --csv new.st
ls new* || true
ecgfm pretrain --data data --objective mae --vit.width 16 --vit.depth 1 --vit.heads 2 --input.seconds 2 \
    --steps 1 --batch 2 --out encoder --quiet >/dev/null
status ecgfm infer --model encoder --as-is x.npy
