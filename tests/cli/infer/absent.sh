# A model that takes zeros for missing leads says which were missing; another refuses the recording.
set -e
ecgfm synth --out data --records 30 --duration 5 --seed 2 --quiet >/dev/null
head -c 1000 data/records100/00000/00001_lr.dat >one.dat
printf 'one 1 100 500\none.dat 16 1000/mV 16 0 0 0 0 II\n' >one.hea
tune() {
    ecgfm finetune --data data --weights random --vit.width 32 --vit.depth 1 --vit.heads 2 \
        --input.seconds 2 --epochs 1 --bootstrap 0 --quiet "$@" >/dev/null
}
tune --out plain
tune --out zeros --input.missing-leads zero --input.normalization lead_record \
    --input.windows segments --input.resampling linear --aggregation max
ecgfm infer --model plain one.hea --quiet | grep -o '"code":"[a-z]*"' || true
ecgfm infer --model zeros one.hea --quiet >one.jsonl
grep -o '"windows[^]]*]' one.jsonl
ecgfm infer --model zeros one.hea --csv - --quiet | tail -1 | grep -o 'zeros stand[^"]*'
# Whole recordings have nothing to tell; two segments of 2 s each are in one of 5 s.
ecgfm infer --model zeros data/records100/00000/00001_lr.hea --quiet | grep -o '"seconds.*'
ecgfm inspect zeros/model.safetensors | sed -n '/^input/,/^network/p' | grep -v '^ *leads\|title'
ecgfm inspect zeros/model.safetensors --json | tr -d ' \n' | grep -o '"resampling[^}]*' | head -1
