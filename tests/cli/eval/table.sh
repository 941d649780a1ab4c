cat >predictions.csv <<'END'
id,fold,patient,y_NORM,y_MI,y_HYP,p_NORM,p_MI,p_HYP
r1,10,1,1,0,0,0.9,0.1,0.2
r2,10,2,0,1,0,0.3,0.8,0.1
r3,10,,1,0,0,0.7,0.3,0.2
r4,10,4,0,1,0,0.4,0.2,0.3
r5,,5,1,1,0,0.35,0.6,0.1
r6,10,6,0,0,0,0.1,0.1,0.4
END
ecgfm eval --predictions predictions.csv --bootstrap 0 --out metrics.json
ecgfm eval --predictions predictions.csv --bootstrap 200 --threads 2 --seed 7
# the same seed gives the same file, whatever the threads
ecgfm eval -q --predictions predictions.csv --json --seed 7 --threads 1 --out one.json >one.out
ecgfm eval -q --predictions predictions.csv --json --seed 7 --threads 3 --out three.json >three.out
cmp one.json three.json
cmp one.out three.out
cmp one.json one.out
grep -c '"auroc_ci"' one.json
