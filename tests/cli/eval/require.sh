cat >predictions.csv <<'END'
id,fold,patient,y_A,y_B,p_A,p_B
r1,10,1,1,0,0.9,0.1
r2,10,2,0,0,0.3,0.8
r3,10,3,1,1,0.7,0.3
r4,10,4,0,1,0.4,0.2
END
eval() { ecgfm eval -q --predictions predictions.csv --bootstrap 50 "$@" >/dev/null; echo "$?"; }
set +e
eval --require 'auroc.A>=1'
eval --require 'auroc.A>1'
eval --require 'macro_auroc >= 0.75' --require 'auroc.B < 0.75,n<=4' --require 'macro_auroc_low>0'
eval --require 'auroc.A>=0.9' --require 'macro_auroc>=0.9' --require 'auroc.B>0.5'
eval --require 'macro_aurok>=0.5'
eval --require 'auroc.C>=0.5'
eval --require 'macro_auroc'
eval --require 'macro_auroc>=high'
eval --require '>=0.5'
# names with commas
sed 's/y_B/"y_B, ""b"""/;s/p_B/"p_B, ""b"""/' predictions.csv >commas.csv
ecgfm eval -q --predictions commas.csv --bootstrap 0 --out commas.json >/dev/null
eval() { ecgfm eval --predictions commas.csv --bootstrap 0 "$@" | head -1; }
eval --require '"auroc.B, ""b""">=0.5, auroc.A>=1' --require 'n>=1,"auroc.B, ""b"" < 1"'
eval --baseline commas.json --baseline-metrics 'auroc.A,"brier.B, ""b"""'
eval --require 'auroc.B, "b">=0.5'
