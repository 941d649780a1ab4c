# What fine-tuning measures after each epoch is what the weights of that epoch give: the best value is
# the one that infer's scores with the saved model have. The last epoch can be kept instead, and epochs can
# be left out, but not the last.
set -e
ecgfm synth --out set --records 120 --seed 3 --quiet >/dev/null
ecgfm finetune --data set --weights random --vit.width 32 --vit.depth 2 --vit.heads 2 --lr 1e-2 \
    --ema 0.5 --epochs 4 --batch 16 --bootstrap 0 --out run --quiet >/dev/null
grep -o '"validation_macro_auroc":[^,}]*' run/metrics.jsonl | sort -u | wc -l | grep -qx 1 && echo "never changed"
best=$(tr -d '\n\t ' <run/metrics.json | sed 's/.*"validation_macro_auroc":\([0-9.]*\).*/\1/')
ecgfm infer --model run set/records100 --quiet >scores.jsonl
ecgfm eval --scores scores.jsonl --data set --split validation --bootstrap 0 --quiet --json \
    --require "macro_auroc>=$best,macro_auroc<=$best" | grep -c '"met": *true'

ecgfm finetune --data set --weights random --vit.width 32 --vit.depth 2 --vit.heads 2 --recipe ptbxl-benchmark \
    --epochs 5 --validate_epochs 2 --batch 16 --bootstrap 0 --out last --quiet >/dev/null
tr -d ' ' <last/metrics.jsonl >lines
grep '"validation_macro_auroc"' lines | grep -o '"epoch":[0-9]*'
own=$(tr -d '\n\t ' <last/metrics.json | sed 's/.*"last_epoch":5,"validation_macro_auroc":\([0-9.]*\).*/\1/')
tail -n 1 lines | grep -c "\"validation_macro_auroc\":$own}"
ecgfm infer --model last set/records100 --quiet >scores.jsonl
ecgfm eval --scores scores.jsonl --data set --split validation --bootstrap 0 --quiet --json \
    --require "macro_auroc>=$own,macro_auroc<=$own" | grep -c '"met": *true'
tail -n 1 lines | grep -o '"lr":[^,]*'
