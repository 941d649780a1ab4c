# Bad records are refused by name, the rest goes on; exit codes say what happened.
ecgfm synth --out data --records 12 --duration 3 --seed 2 --quiet >/dev/null
ecgfm finetune --data data --weights random --vit.width 16 --vit.depth 1 --vit.heads 2 \
    --input.seconds 2 --epochs 1 --batch 4 --bootstrap 0 --out model --quiet >/dev/null
f=data/records100/00000
status() {
    code=0
    "$@" || code=$?
    echo "exit $code"
}
short() { sed 's/"scores":{[^}]*}/"scores":{}/'; }
sed 's/00001_lr/cut/g' $f/00001_lr.hea >$f/cut.hea
head -c 1000 $f/00001_lr.dat >$f/cut.dat
sed '1s/ 12 / 13 /' $f/00002_lr.hea >$f/count.hea
echo 'this is no header' >$f/text.hea
status ecgfm infer --model model data/records100 --quiet | short | grep -v '"ok"' | sort
status ecgfm infer --model model $f/text.hea nowhere.hea --quiet
status ecgfm infer --model model $f/00003_lr.hea --quiet | short
status ecgfm infer --model $f/00003_lr.dat $f/00003_lr.hea --quiet 2>/dev/null
status ecgfm infer --model model --quiet 2>/dev/null
# A value that is not finite: nothing is scored.
bytes=$(wc -c <model/model.safetensors)
for at in $((bytes - 2000)) $((bytes - 4)); do # from the end: the header's length varies
    cp model/model.safetensors bad.safetensors
    printf '\377\377\377\377' | dd of=bad.safetensors bs=1 seek=$at conv=notrunc status=none
    status ecgfm infer --model bad.safetensors --csv - $f/00003_lr.hea --quiet 2>&1
    status ecgfm infer --model bad.safetensors --csv - $f/text.hea --quiet 2>&1
done
