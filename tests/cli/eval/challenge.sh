# The worked case of tests/unit/test_joint.c, and what can be wrong with a matrix.
cat >p.csv <<'END'
id,fold,patient,y_NSR,y_AF,y_AFL,y_7,y_none,p_NSR,p_AF,p_AFL,p_7,p_none
r1,10,1,1,0,0,0,0,1,0,0,0,0
r2,10,2,0,1,0,0,1,0,0,1,1,0
r3,10,3,0,0,0,1,0,1,0,0,0,1
END
printf ',SNR|NSR,AF|AFL,7\nSNR|NSR,1,0.5,0.25\nAF|AFL,0.5,1,0.5\n7,0.25,0.5,1\n' >w.csv
ecgfm eval --predictions p.csv --challenge w.csv --bootstrap 0 --require 'challenge_score>0.28,challenge_score<0.31' | tail -1
# the same with equals told by their weights, and a class that nobody scores
printf ',NSR,AF,AFL,7,PVC\nNSR,1,0.5,0.5,0.25,0\nAF,0.5,1,1,0.5,0\nAFL,0.5,1,1,0.5,0\n7,0.25,0.5,0.5,1,0\nPVC,0,0,0,0,1\n' >v.csv
ecgfm eval --predictions p.csv --challenge v.csv --bootstrap 0 --metrics auroc | tail -7
# a higher threshold calls nothing
ecgfm eval -q --predictions p.csv --challenge w.csv --threshold 2 --bootstrap 0 | tail -1
printf 'class,threshold\nNSR,0.5\nAF,1\nAFL,1e9\n7,.5\nnone,.5\n' >t.csv
ecgfm eval --predictions p.csv --challenge w.csv --threshold t.csv --bootstrap 0 | tail -1
set +e
refused() { ecgfm eval -q --predictions p.csv --bootstrap 0 "$@" >/dev/null; echo $?; }
sed 1d t.csv >u.csv; refused --threshold u.csv
grep -v AFL t.csv >u.csv; refused --threshold u.csv
sed s/1e9/high/ t.csv >u.csv; refused --threshold u.csv
sed s/NSR/XSR/g w.csv | sed s/SNR/Q/g >u.csv; refused --challenge u.csv
sed '2s/0.5/nan/' w.csv >u.csv; refused --challenge u.csv
sed '2,3s/AF.AFL,/AFX,/' w.csv >u.csv; refused --challenge u.csv
sed 's/AF|AFL/7/g' w.csv >u.csv; refused --challenge u.csv
sed 1d w.csv >u.csv; refused --challenge u.csv
sed 's/7/8/g; s/AF|AFL/Y/g; s/SNR|NSR/426783006/g' w.csv >u.csv; refused --challenge u.csv
refused --challenge missing.csv
refused --challenge cinc2017
refused --challenge w.csv --require 'challenge_scores>0'
refused --metrics auroc,aurpc
# 2017: N, A, O, ~; the highest score is the answer
cat >q.csv <<'END'
id,fold,patient,y_N,y_A,y_O,y_~,p_N,p_A,p_O,p_~
r1,10,1,1,0,0,0,0.4,0.1,0.2,0.3
r2,10,2,0,1,0,0,0.4,0.3,0.2,0.1
r3,10,3,0,0,1,0,0.1,0.2,0.6,0.1
r4,10,4,0,1,0,0,0.1,0.7,0.1,0.1
r5,10,5,0,0,0,1,0.1,0.1,0.5,0.3
END
# N: 2/(1+2), A: 2/(2+1), O: 2/(1+2), ~: 0
ecgfm eval -q --predictions q.csv --challenge cinc2017 --bootstrap 0 --require 'cinc2017_f1_noisy<=0.5' | tail -1
