cat >a.csv <<'END'
id,fold,patient,y_A,y_B,p_A,p_B
r1,10,1,1,0,0.9,0.1
r2,10,2,0,0,0.3,0.8
r3,10,3,1,1,0.7,0.3
r4,10,4,0,1,0.4,0.2
r5,10,4,0,1,0.4,0.2
END
cat >b.csv <<'END'
id,fold,patient,y_B,y_A,p_B,p_A
r6,10,4,1,0,0.2,0.4
r4,10,4,1,0,0.2,0.625
r1,10,1,0,1,0.1,0.9
r2,10,2,0,0,0.8,0.3
r3,10,3,1,1,0.3,0.6
END
ecgfm eval --compare a.csv b.csv
ecgfm eval -q --compare a.csv b.csv --json --out out.json >printed.json && cmp printed.json out.json
eval() { ecgfm eval -q --compare a.csv b.csv "$@" >/dev/null 2>>talk; echo "$?"; }
set +e
eval --require 'macro_auroc_loss<=0.125,same_decisions>=0.875,only_first<=1,only_second<=1,n>=4'
eval --require 'macro_auroc_loss<0.125'
eval --require 'same_decisions>0.9'
eval --require 'changed<=0'
eval --require 'same_decision>0.9'
eval --require 'macro_auroc_difference>=-0.125,macro_auroc_difference_low<0,macro_auroc_difference_high>=0'
eval --require 'auroc_difference_p.A>0.05'
eval --require 'auroc_difference_p.C<0.05'
cat talk
echo "several runs a side: half of the change where half of them changed"
sed 's/r6/r5/' b.csv >'b,5.csv'
ecgfm eval -q --compare a.csv,a.csv '"b,5.csv",a.csv'
ecgfm eval --compare a.csv,a.csv b.csv
ecgfm eval --compare a.csv,a.csv b.csv,
ecgfm eval --compare a.csv,a.csv a.csv,b.csv
head -2 b.csv >c.csv
ecgfm eval --compare a.csv,a.csv b.csv,c.csv
sed 's/^r3,10,3,1,1/r3,10,3,,1/' a.csv >c.csv
ecgfm eval --compare a.csv,a.csv a.csv,c.csv
sed 's/y_/v_/g;s/p_/e_/g' a.csv >c.csv
ecgfm eval --compare a.csv,a.csv a.csv,c.csv
echo "other classes and labels"
sed 's/y_B/y_C/;s/p_B/p_C/' b.csv >c.csv
ecgfm eval --compare a.csv c.csv
sed 's/^r3,10,3,1,1/r3,10,3,0,1/' b.csv >c.csv
ecgfm eval --compare a.csv c.csv
(head -1 b.csv; grep r6 b.csv) >c.csv
ecgfm eval --compare a.csv c.csv
ecgfm eval --compare a.csv
ecgfm eval --compare a.csv b.csv --predictions a.csv
ecgfm eval --compare a.csv missing.csv
ecgfm eval --predictions a.csv b.csv
# Scores of infer: what one refused is counted, labels come from the data set.
ecgfm synth --out set --records 40 --seed 1 --quiet >/dev/null
for f in $(cd set && ls records100/*/*.hea); do
    echo '{"file": "'$f'", "status": "ok", "scores": {"NORM": 0.75, "MI": 0.5, "STTC": 0.5, "CD": 0.25, "HYP": 0}}'
done >one.jsonl
sed '3s/.*/{"file": "x.hea", "status": "refused", "code": "truncated", "reason": "short"}/; s/"MI": 0.5/"MI": 0.4375/' one.jsonl >two.jsonl
ecgfm eval --compare one.jsonl two.jsonl
ecgfm eval --compare one.jsonl two.jsonl --data set --split all --quiet | tail -4
