set +e
ecgfm eval; echo $?
ecgfm eval --predictions absent.csv; echo $?
printf 'id,fold,patient,y_A,p_A\nr1,1,1,yes,0.5\n' >wrong.csv
ecgfm eval --predictions wrong.csv; echo $?
printf 'id,fold,patient,y_A,p_A\nr1,1,1,1,0.5\nr1,1,1,1,0.5\n' >twice.csv
ecgfm eval --predictions twice.csv; echo $?
printf 'id,fold,patient,y_A,p_A\nr1,1,1,1,2.5\nr2,1,1,0,-1\n' >logits.csv
ecgfm eval --predictions logits.csv --bootstrap 0; echo $?
ecgfm eval --predictions logits.csv --require 'macro_brier<1' >/dev/null; echo $?
echo "options that would do nothing"
nothing() { ecgfm eval -q "$@" >/dev/null; echo $?; }
for option in --split=validation --task=nosuch --targets=absent.csv --target-id=x --folds=absent.csv --data=absent --rate=100; do
    nothing --predictions logits.csv "$option"
done
for option in --threshold=0.9 --tune=absent.csv --tune-by=f2 --subgroups=sex --challenge=nosuch --metrics=bogus --data=absent --split=all; do
    nothing --compare logits.csv logits.csv "$option"
done
nothing --scores absent.jsonl --data absent --ids absent.txt
mkdir run
printf 'dataset,id,patient,fold,split\nptbxl,r1,7,1,train\n' >run/split.csv
nothing --compare logits.csv logits.csv --trained run
