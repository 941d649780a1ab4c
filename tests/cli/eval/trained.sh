# Records that a run has learned from are found by id or by patient, however numbers are written.
mkdir run
cat >run/split.csv <<'END'
dataset,id,patient,fold,split
ptbxl,1,15709,1,train
ptbxl,2,15710,10,test
ptbxl,3,,1,train
END
touch run/model.safetensors
row() { printf 'id,fold,patient,y_A,p_A\n%s,1,%s,1,0.5\nx9,1,%s,0,0.4\n' "$1" "$2" "$3" >p.csv; }
check() { ecgfm eval -q --predictions p.csv --bootstrap 0 --trained "${1:-run}" >/dev/null; echo "exit $?"; }
set +e
echo "learned: by id without patient, by id, by patient"
row 1 "" "" && check
row 3 "" "" && check
row 7 15709.0 8 && check run/model.safetensors
row 1.0 77 "" && check
echo "not learned: of the test fold, other patients"
row 2 "" "" && check
row 7 15711 8 && check
echo "nothing to compare"
row 7 "" "" && check
ecgfm eval -q --predictions p.csv --bootstrap 0 --trained run --allow-patient-overlap >/dev/null && echo taken
echo "no such run, beside a split.csv that is none of its own"
cp run/split.csv . && row 2 "" "" && check runX
