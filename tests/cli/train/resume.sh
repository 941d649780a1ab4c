# A run that is killed at any moment and started again ends with the same bytes as one that was not,
# with one thread or two; one asked to stop saves its state and exits 75.
set -e
ecgfm synth --out data --records 60 --duration 4 --seed 3 --quiet >/dev/null
small=(--vit.width 16 --vit.depth 2 --vit.heads 2 --mae.width 16 --mae.depth 1 --mae.heads 2
    --simclr.hidden 16 --simclr.projection 8 --input.seconds 2 --batch 8 --quiet --seed 5)
pre=(ecgfm pretrain --data data --objective mae+simclr "${small[@]}" --epochs 4 --accumulate 2 --ema 0.9)
same() {
    # log.txt holds times; config.json names the folders.
    diff -r -x log.txt -x config.json "$1" "$2" >&2 && echo "$2 same"
}

"${pre[@]}" --out whole --threads 2 >/dev/null
"${pre[@]}" --out one --threads 1 >/dev/null
same whole one

# Killed again and again, at moments that move, with a checkpoint after every step.
again=("${pre[@]}" --out killed --checkpoint_seconds 0)
kills=0
for delay in 0.02 0.05 0.08 0.03 0.11 0.06 0.14 0.09; do
    "${again[@]}" --threads $((kills % 2 + 1)) >/dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2>/dev/null && kills=$((kills + 1))
    wait $! 2>/dev/null || true
done
[ $kills -gt 0 ] && echo killed
"${again[@]}" --threads 1 >/dev/null
same whole killed

# Asked to stop in the middle.
"${pre[@]}" --out asked --checkpoint_seconds 1000 --epochs 4 >/dev/null 2>asked.txt &
for _ in $(seq 10000); do
    [ -s asked/metrics.jsonl ] && break
    sleep 0.002
done
kill -TERM $!
code=0
wait $! || code=$?
case $code in
    75) grep -q 'SIGTERM: state saved at step' asked.txt && echo stopped ;;
    0) echo stopped ;; # it was faster than the signal
    *) cat asked.txt && echo "exit $code" ;;
esac
"${pre[@]}" --out asked >/dev/null
same whole asked

# A signal that comes at once, or while data is read, is not lost.
"${pre[@]}" --out early --checkpoint_seconds 1000 >/dev/null 2>&1 &
sleep 0.02
kill -TERM $! 2>/dev/null || true
wait $! || true
"${pre[@]}" --out early >/dev/null
same whole early

# What was finished stays as it is; another configuration is refused.
"${pre[@]}" --out whole >/dev/null
same one whole
"${pre[@]}" --out whole --lr 0.5 2>&1 >/dev/null | grep -o 'holds another run' || true

"${pre[@]}" --out whole >/dev/null && same one whole
ecgfm probe --data data --weights whole --out whole --quiet 2>&1 >/dev/null | grep -o 'holds a run of pretrain' || true

# Fine-tuning goes on, too, with its best epoch.
fine=(ecgfm finetune --data data --weights whole --epochs 3 --batch 8 --quiet --seed 5 --bootstrap 20)
"${fine[@]}" --out fine --threads 2 >/dev/null
for delay in 0.06 0.1 0.15; do
    "${fine[@]}" --out fine-killed --checkpoint_seconds 0 --threads 1 >/dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
done
"${fine[@]}" --out fine-killed --checkpoint_seconds 0 --threads 1 >/dev/null
same fine fine-killed
