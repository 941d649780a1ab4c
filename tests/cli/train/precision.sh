# Training in each precision that trains (a machine without it says so and uses float32): losses like
# float32's, the same bytes on one thread and two and after kills, and scores that keep no company.
set -e
ecgfm synth --out data --records 60 --duration 4 --seed 3 --quiet >/dev/null
pre=(ecgfm pretrain --data data --vit.width 32 --vit.depth 2 --vit.heads 2 --mae.width 16 --mae.depth 1
    --mae.heads 2 --input.seconds 2 --batch 8 --epochs 12 --seed 5 --log_steps 1 --quiet)
same() { diff -r -x log.txt -x config.json "$1" "$2" >&2 && echo "$3 same"; }
losses() { sed -n 's/.*"loss": *\([0-9.]*\).*/\1/p' "$1/metrics.jsonl"; }

"${pre[@]}" --out f32 >/dev/null
for precision in bf16; do
    run=("${pre[@]}" --precision $precision)
    "${run[@]}" --out $precision --threads 2 >/dev/null
    "${run[@]}" --out $precision-one --threads 1 >/dev/null
    same $precision $precision-one "$precision, one thread:"
    for delay in 0.03 0.08 0.14; do
        "${run[@]}" --out $precision-killed --checkpoint_seconds 0 >/dev/null 2>&1 &
        sleep $delay
        kill -9 $! 2>/dev/null || true
        wait $! 2>/dev/null || true
    done
    "${run[@]}" --out $precision-killed --checkpoint_seconds 0 --threads 1 >/dev/null
    same $precision $precision-killed "$precision, killed:"
    # Every loss within 2 %, the mean of the last ten within 1 %.
    paste <(losses f32) <(losses $precision) | awk '
        { d = $2 / $1 - 1; if (d > 0.02 || d < -0.02) print "step", NR, "losses", $0
          a[NR] = $1; b[NR] = $2; if (NR == 1) first = $1 }
        END { for (i = NR - 9; i <= NR; i++) { f += a[i]; g += b[i] }
              d = g / f - 1; if (d > 0.01 || d < -0.01) print "last losses", f / 10, g / 10
              if (g / 10 > 0.97 * first) print "did not learn", first, g / 10
              print (NR >= 60 ? "compared" : "few steps") }'
    # What it computed in is written down: that, or float32 where the machine lacks it.
    grep -o '"precision": *"[a-z0-9]*"' $precision/config.json | grep -q "\"$precision\"\|\"f32\"" && echo noted
done

# Another precision is another run.
"${pre[@]}" --out f32 --precision bf16 2>talk >/dev/null || true
grep -q 'another run\|float32' talk && echo told

ecgfm finetune --data data --weights bf16 --epochs 1 --batch 8 --bootstrap 0 --out model --precision bf16 \
    --quiet >/dev/null
for precision in f32 bf16 int8; do
    infer=(ecgfm infer --precision $precision --quiet)
    "${infer[@]}" --model model data/records100 --threads 2 >all.jsonl
    "${infer[@]}" --model model data/records100 --threads 1 | cmp - all.jsonl
    find data/records100 -name '*.hea' | sort -r | "${infer[@]}" --model model --stdin | sort |
        cmp - <(sort all.jsonl)
    for n in 7 23; do
        "${infer[@]}" --model model data/records100/00000/000$(printf %02d $n)_lr.hea |
            cmp - <(sed -n ${n}p all.jsonl)
    done
    cp all.jsonl $precision.jsonl
    ecgfm eval --compare f32.jsonl $precision.jsonl --data data --split all --quiet \
        --require 'largest_change<0.02,same_decisions>=0.9' >/dev/null && echo "$precision close"
    # The same scores from a file in that storage, where the storage is the precision.
    ecgfm convert --model model --dtype $precision --out $precision.safetensors --quiet >/dev/null
    "${infer[@]}" --model $precision.safetensors data/records100 >stored.jsonl
    ecgfm eval --compare $precision.jsonl stored.jsonl --data data --split all --quiet \
        --require 'largest_change<0.02' >/dev/null && echo "$precision file close"
done
