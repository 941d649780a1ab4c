# A loss that is not finite stops the run with the step and the records, and poisons no file.
ecgfm synth --out data --records 40 --duration 3 --seed 3 --quiet >/dev/null
ecgfm pretrain --data data --out run --vit.width 16 --vit.depth 1 --vit.heads 2 --mae.width 16 \
    --mae.depth 1 --mae.heads 2 --input.seconds 2 --batch 8 --epochs 60 --quiet \
    --lr 10 --weight_decay 10 --clip 0 --warmup 0 --checkpoint_seconds 0 2>message || echo "exit $?"
sed -E 's/step [0-9]+/step N/; s/(loss|norm) is .*; /\1 is X; /; s/Records of the batch: [0-9, ]+/Records of the batch: IDS/' message
ls run
# The state is the last one that was finite: what it holds loads again and fails at the same step.
cp message before
ecgfm pretrain --data data --out run --vit.width 16 --vit.depth 1 --vit.heads 2 --mae.width 16 \
    --mae.depth 1 --mae.heads 2 --input.seconds 2 --batch 8 --epochs 60 --quiet \
    --lr 10 --weight_decay 10 --clip 0 --warmup 0 --checkpoint_seconds 0 2>message || echo "exit $?"
cmp before message && echo same
