# Classifiers of probes: those that are heads make models that infer gives the same scores with; knn makes
# none and says so; what does not fit is refused.
set -e
ecgfm synth --out data --records 80 --duration 4 --seed 3 --quiet >/dev/null
probe=(ecgfm probe --data data --weights random --vit.width 16 --vit.depth 1 --vit.heads 2 --input.seconds 2 --bootstrap 0)
for classifier in logistic ridge prototype knn; do
    "${probe[@]}" --classifier $classifier --out $classifier --quiet >/dev/null
    grep -o '"solver": *"[a-z-]*"' $classifier/metrics.json
    [ -f $classifier/model.safetensors ] || { echo "no model"; continue; }
    # the first test record: the same score from the model file
    id=$(sed -n 2p $classifier/predictions.csv | cut -d, -f1)
    file=$(find data/records100 -name "$(printf %05d "$id")_lr.hea")
    one=$(sed -n 2p $classifier/predictions.csv | cut -d, -f9)
    ecgfm infer --model $classifier --quiet "$file" | grep -q "\"NORM\":$one," && echo "the same score"
    ecgfm inspect $classifier/model.safetensors --quiet | grep -o '"head": "[a-z]*"' | head -1
done
"${probe[@]}" --classifier knn --out ridge 2>&1 >/dev/null | grep -o 'classifier knn makes no model'
ls ridge | grep model || echo "nothing of the earlier run"
"${probe[@]}" --network.pool attention --network.head mlp --out attention 2>&1 >/dev/null | grep -o 'the probe sees the mean'
ecgfm inspect attention/model.safetensors --quiet | grep -o '"pool": "[a-z]*", "head": "[a-z]*"' | head -1
refused() { "$@" --quiet 2>&1 >/dev/null | sed 's/^[^:]*: //'; }
refused "${probe[@]}" --classifier knn --positive_weights balance --out bad
refused "${probe[@]}" --classifier svm --out bad
