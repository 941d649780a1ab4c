cat >p.csv <<'END'
id,fold,patient,y_A,y_B,p_A,p_B
r1,10,1,1,0,0.9,0.1
r2,10,2,0,1,0.3,0.8
r3,10,3,1,1,0.7,0.3
r4,10,4,0,0,0.8,0.2
r5,10,4,1,0,0.6,0.2
r6,10,4,0,0,0.1,0.3
END
cat >groups.csv <<'END'
ward,id,pacemaker
"7, north",r3,no
,r2,yes
"7, north",r4,no
2,r1,no
2,r6,no
2,r5,yes
3,other,yes
END
ecgfm eval -q --predictions p.csv --subgroups-file groups.csv --bootstrap 0 --csv table.csv --json --out m.json >printed.json
cmp m.json printed.json
grep -c '"group"' m.json
cut -d, -f1-7 table.csv
ecgfm eval --predictions p.csv --subgroups-file groups.csv --subgroups ward --bootstrap 0 \
    --require 'auroc.A@ward=2>=1' --require 'n@ward=2>=3'
set +e
refused() { ecgfm eval -q --predictions p.csv --bootstrap 0 "$@" >/dev/null; echo $?; }
refused --subgroups sex
refused --subgroups sex --subgroups-file groups.csv
refused --subgroups-file groups.csv --require 'macro_auroc@ward=9>0'
refused --subgroups-file groups.csv --require 'macro_aurok@ward=2>0'
refused --require 'macro_auroc@ward=2>0'
refused --subgroups-file p.csv --subgroups fold,ward
sed s/id,/no,/ groups.csv >wrong.csv
refused --subgroups-file wrong.csv
sed s/r2/r3/ groups.csv >wrong.csv
refused --subgroups-file wrong.csv
sed 's/,r/,q/' groups.csv >wrong.csv
refused --subgroups-file wrong.csv --subgroups ward
(echo id,age; for i in $(seq 70); do echo "r$i,$i"; done) >numbers.csv
(head -1 p.csv; for i in $(seq 70); do echo "r$i,1,1,1,0,0.5,0.5"; done) >many.csv
ecgfm eval -q --predictions many.csv --subgroups-file numbers.csv --bootstrap 0
# a data set
ecgfm synth --out set --records 40 --seed 1 --quiet >/dev/null
for f in $(cd set && ls records100/*/*.hea); do
    echo '{"file": "'$f'", "status": "ok", "scores": {"NORM": 0.75, "MI": 0.5, "STTC": 0.5, "CD": 0.25, "HYP": 0}}'
done >s.jsonl
ecgfm eval -q --scores s.jsonl --data set --split all --bootstrap 0 --subgroups age,sex --subgroups device |
    grep -E '^(age|18|40|60|80|sex|female|male|device|unknown)'
