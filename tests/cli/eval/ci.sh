# A run against an earlier one, as continuous integration has it.
cat >old.csv <<'END'
id,fold,patient,y_A,y_B,y_<C>,p_A,p_B,p_<C>
r1,10,1,1,0,0,0.9,0.1,0.5
r2,10,2,0,1,0,0.3,0.8,0.5
r3,10,3,1,1,0,0.7,0.3,0.5
r4,10,4,0,0,0,0.4,0.2,0.5
END
sed 's/0.7,0.3/0.35,0.3/' old.csv >new.csv
ecgfm eval -q --predictions old.csv --bootstrap 0 --out old.json >/dev/null
eval() { ecgfm eval --predictions new.csv --bootstrap 0 --baseline old.json "$@" >/dev/null 2>talk; code=$?; grep -v records talk | grep -Ev '<C>|brier' || :; echo "$code"; }
set +e
eval
eval --max-drop 0.2 --junit met.xml
eval --max-drop 0.2 --baseline-metrics 'macro_auroc, auroc.A,sample_fmax' --require 'auroc.<C>>0.5' --junit unmet.xml
cat unmet.xml
eval -q --baseline-metrics macro_brier,brier.A,macro_f1 --max-drop 0
eval -q --baseline-metrics macro_brier,brier.A --max-drop 0
eval --baseline-metrics macro_aurok
eval --baseline-metrics 'auroc.<C>'
eval --baseline-metrics auroc.D
eval --baseline-metrics n.A
echo '{"macro_auroc": "high", "classes": [{"name": 1}, 3]}' >old.json
eval
echo '{' >old.json
eval
ecgfm eval --predictions new.csv --bootstrap 0 --junit nothing.xml
ecgfm eval --compare old.csv new.csv --baseline old.json
ecgfm eval -q --compare old.csv new.csv --require 'macro_auroc_difference>=-0.2' --junit compared.xml --csv compared.csv >/dev/null
grep -c '<failure' compared.xml met.xml
cut -d, -f1-4 compared.csv
ecgfm eval -q --predictions absent.csv --require 'n>=1' --junit met.xml
cat met.xml
# a command line that is refused, before or after the name of the report
refused() { rm met.xml; ecgfm eval "$@" 2>talk; echo $?; grep '<error' met.xml; }
refused --junit met.xml --predictions new.csv --requir 'n>=1'
refused --level 7 --bootstrap x --predictions new.csv --require 'n>=1' --junit met.xml
refused -x --config absent.json --no-json --junit=met.xml
refused --junit met.xml one two
refused --junit --require 'n>=1' --junit met.xml
printf 'id,fold,patient,v_age,e_age\nr1,9,1,50,51\nr2,9,2,60,58\n' >values.csv
ecgfm eval -q --predictions values.csv --bootstrap 0 --out values.json >/dev/null
sed 's/,58$/,50/' values.csv >worse.csv
eval_values() { ecgfm eval -q --predictions "$1" --bootstrap 0 --baseline values.json --max-drop 0 --baseline-metrics "$2" >/dev/null; echo $?; }
eval_values values.csv mae,macro_rmse,rmse.age
eval_values worse.csv mae
eval_values worse.csv macro_bias
eval_values worse.csv bias.age
