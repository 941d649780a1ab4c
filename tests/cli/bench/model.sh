# What is counted, not what is timed. The tiny network on 25 tokens of 120 samples: products
# 2 x 25 x (120 x 16 + 16 x 48 + 16 x 16 + 2 x 16 x 64) + 2 x 32 x 26 = 251264 for the head's 26
# classes of mean and maximum, attention 4 x 25 x 25 x 16 = 40000; a training step is three times that.
tiny="--model vit-tiny --set vit.width=16 --set vit.depth=1 --set vit.heads=2 --repeat 2"
ecgfm bench $tiny --batch 1,4 --no-products --json >bench.json
grep -E '"(name|parameters|tokens|leads|samples|classes|mode|precision|batch|count|flops)":' bench.json |
    grep -vE '^ {10}' | sed 's/^ *//'
echo "times that are not positive:"
grep -E '"(median|min|max|records_per_second|flops_per_second|forward_seconds|backward_seconds)": ' \
    bench.json | grep -vE '^ {10}"(forward|backward)' | grep -vE ': ([1-9]|0\.0*[1-9])' || echo none
echo "sums of the ops:"
awk '/"ops":/ { inside = 1; sum = 0 } inside && /"flops":/ { sum += $2 }
     /^ *\]/ && inside { inside = 0; printf "%d\n", sum }' bench.json
echo "memory:"
awk '/"planned"/ { p = $2 + 0 } /"unshared"/ { u = $2 + 0 } /"peak_resident"/ { r = $2 + 0
     print (p > 0 && p <= u ? "planned" : "bad plan"), (r > p ? "resident" : "bad peak") }' bench.json
# 0 where they are counted; only a sanitizer's build (its runtime is linked in) may say null.
echo "allocations:"
none=0
if nm "$(command -v ecgfm)" | grep -qE '__[at]san_init'; then none=null; fi
grep -E '"allocations_per_step":' bench.json |
    awk -v none=$none '{ sub(",", "", $2); print ($2 == none ? "none" : "bad: " $2) }'
echo "products:"
ecgfm bench $tiny --batch 1 --mode infer --json >products.json
awk '/"flops_per_second"/ && !n++ { print ($2 + 0 > 1e8 ? "measured" : "bad") }
     /"copy_bytes_per_second"/ { print ($2 + 0 > 1e8 ? "measured" : "bad") }
     /"percent_of_product"/ { print ($2 + 0 > 0 && $2 + 0 < 400 ? "share" : "bad") }' products.json
echo "objectives:"
ecgfm bench $tiny --batch 2 --mode train --repeat 1 --no-products --objective mae --json |
    grep -E '"objective"|"op": +"(scatter|mse_patch|bce)"|"mode"' | tr -d ' ,'
ecgfm bench $tiny --mode train --no-products --objective w2v 2>&1 | head -1
ecgfm bench $tiny --batch 1 --mode train --no-products >table
grep -cE '^ +precision .* allocations$' table
grep -cE '^train +f32 +1 .* (0|-)$' table
