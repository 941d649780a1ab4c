# Each backend trains and scores; the run says which it was and does not go on with another.
export OMP_NUM_THREADS=1
ecgfm synth --out set --records 60 --seed 1 --quiet >/dev/null
tiny="--data set --epochs 1 --batch 16 --set vit.width=24 --set vit.depth=1 --set vit.heads=2"
for backend in ref cpu onednn; do
    ecgfm pretrain $tiny --out $backend --backend $backend --quiet
    grep -o '"backend": *"[a-z]*"' $backend/config.json
    ecgfm probe --data set --weights $backend --out probe-$backend --bootstrap 0 \
        --backend $backend --quiet >/dev/null
    ecgfm infer --model probe-ref set/records100/00000/00001_lr --backend $backend --quiet |
        grep -o '"status":"ok"'
    sed -n 's/.*"loss": *\([0-9.]*\).*/\1/p' $backend/metrics.jsonl >loss-$backend
    paste loss-ref loss-$backend | awk '{ d = $1 / $2 - 1; if (d * d > 1e-10) print "losses", $0 }
        END { if (NR == 0) print "no losses" }'
done
ecgfm pretrain $tiny --out cpu --backend ref
