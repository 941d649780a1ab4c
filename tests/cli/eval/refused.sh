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
