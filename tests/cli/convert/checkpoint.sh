# Checkpoints of fairseq-signals to model files and back; what is wrong is told, and nothing is written.
set -e
export OMP_NUM_THREADS=1
mkdir from
for name in pretrained_gv pretrained_parametrized classifier views; do cp "$REPOSITORY/tests/fixtures/$name.pt" from; done
shown() { ecgfm inspect "$1" --json | tr -d '\n\t' | grep -o '"'"$2"'": *\("[^"]*"\|[0-9]*\)' | head -1 | tr -d ' '; }
for name in pretrained_gv pretrained_parametrized classifier; do
    ecgfm convert from/$name.pt $name.safetensors --quiet
    shown $name.safetensors parameters
    ecgfm convert $name.safetensors $name.pt --quiet
    shown $name.pt parameters
    shown $name.pt weight_norm
    # there and back once more: the same file
    ecgfm convert $name.pt again.safetensors --quiet --fresh
    ecgfm convert again.safetensors again.pt --quiet --fresh
    cmp $name.pt again.pt
done
# The input of ECG-FM, and the labels of the published model with 17
ecgfm inspect classifier.safetensors | sed -n '/^input/,/^network/p'
ecgfm convert from/classifier.pt 8bit.safetensors --dtype int8 2>&1 | grep -v MB
shown 8bit.safetensors storage
# Its own labels
echo name,aggregation,threshold >labels.csv
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do echo "finding $i,max,0.$i"; done >>labels.csv
ecgfm convert --model from/classifier.pt --out own.safetensors --labels labels.csv --quiet
ecgfm inspect own.safetensors | grep -m1 finding
# and they come back from a checkpoint that was made of it
ecgfm convert own.safetensors own.pt --quiet
ecgfm convert own.pt again.safetensors --quiet --fresh
ecgfm inspect again.safetensors | grep finding | tail -1
ecgfm convert own.pt again.safetensors --quiet --fresh --labels published
ecgfm inspect again.safetensors | grep -c finding || true
ecgfm synth --out ecgs --records 1 --seed 1 --quiet >/dev/null
ecgfm infer --model own.safetensors ecgs/records100 --quiet | grep -o '"found":\[[^]]*\]'
sed -i 17,18d labels.csv
ecgfm convert from/classifier.pt refused.safetensors --labels labels.csv --quiet || echo "exit $?"
ecgfm convert from/pretrained_gv.pt refused.safetensors --labels labels.csv --quiet || echo "exit $?"
ecgfm convert classifier.safetensors refused.pt --labels labels.csv --quiet || echo "exit $?"
ecgfm convert classifier.safetensors refused.pt --dtype int8 --quiet || echo "exit $?"
ecgfm convert from/classifier.pt refused.pt --quiet || echo "exit $?"
ecgfm convert from/views.pt refused.safetensors --quiet || echo "exit $?"
ecgfm convert from/classifier.pt --quiet || echo "exit $?"
ecgfm convert from/classifier.pt classifier.safetensors --quiet || echo "exit $?"
head -c 50000 from/classifier.pt >cut.pt
ecgfm convert cut.pt refused.safetensors --quiet || echo "exit $?"
ecgfm inspect cut.pt || echo "exit $?"
ls refused* 2>/dev/null || echo "nothing written"
# Another backbone has no place there
ecgfm synth --out set --records 20 --seed 1 --quiet >/dev/null
ecgfm finetune --data set --weights random --vit.width 32 --vit.depth 2 --vit.heads 2 --epochs 1 \
    --bootstrap 0 --out run --quiet >/dev/null
ecgfm convert run refused.pt --quiet || echo "exit $?"
ecgfm inspect from/views.pt | head -12
