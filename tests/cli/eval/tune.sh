# Thresholds of other records: what is chosen there is used here.
cat >validation.csv <<'END'
id,fold,patient,y_B,y_A,y_C,p_B,p_A,p_C
v1,9,11,0,1,0,0.1,0.25,0.5
v2,9,12,1,1,0,0.8,0.125,0.25
v3,9,13,1,0,0,0.7,0.0625,0.5
END
cat >test.csv <<'END'
id,fold,patient,y_A,y_B,y_C,p_A,p_B,p_C
r1,10,1,1,0,1,0.2,0.6,0.5
r2,10,2,0,1,0,0.1,0.75,0.4
r3,10,3,1,1,0,0.125,0.5,0.1
END
ecgfm eval --predictions test.csv --tune validation.csv --bootstrap 0 --metrics f1,sensitivity,specificity --out m.json
grep '"threshold"' m.json
ecgfm eval -q --predictions test.csv --tune validation.csv --tune-by youden --bootstrap 0 --metrics matthews | head -2
set +e
refused() { ecgfm eval -q --predictions test.csv --bootstrap 0 "$@" >/dev/null; echo $?; }
refused --tune validation.csv --threshold 0.5
refused --tune absent.csv
sed s/_A/_D/g validation.csv >wrong.csv
refused --tune wrong.csv
printf 'id,fold,patient,v_age,e_age\nr1,9,1,50,51\n' >values.csv
refused --tune values.csv
ecgfm eval -q --predictions values.csv --tune validation.csv
ecgfm eval -q --predictions values.csv --bootstrap 0 --csv values_out.csv >/dev/null
cut -d, -f1-6 values_out.csv
echo "records, or patients, that are tuned with and judged by"
refused --tune test.csv
sed s/v1,9,11,/v1,9,2.0,/ validation.csv >overlap.csv
refused --tune overlap.csv
refused --tune overlap.csv --allow-patient-overlap
