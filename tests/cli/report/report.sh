# Runs end with plots and a page; report makes them again, the same; what is broken is left out and said;
# names of strangers are text.
set -e
ecgfm synth --out data --records 60 --duration 4 --seed 3 --quiet >/dev/null
small=(--vit.width 16 --vit.depth 1 --vit.heads 2 --mae.width 16 --mae.depth 1 --mae.heads 2 --input.seconds 2)
ecgfm pretrain --data data "${small[@]}" --epochs 2 --batch 8 --out pre --quiet >/dev/null
ecgfm finetune --data data --weights pre --epochs 2 --batch 8 --bootstrap 20 --out fine --quiet >/dev/null
ecgfm probe --data data --weights pre --bootstrap 20 --out probe --quiet >/dev/null
ls pre/plots fine/plots probe/plots

cp -r fine before
ecgfm report fine
diff -r before fine && echo 'the same bytes'
grep -o 'macro AUROC <b>0\.[0-9]*</b>' fine/report.html | sed 's/[0-9]/N/g'
grep -c 'SYNTHETIC DATA' fine/report.html
if grep -nE '<script|src=|https?://' fine/report.html | grep -v 'www.w3.org/1999/xhtml'; then echo 'loads something'; fi
if command -v python3 >/dev/null; then # a second opinion
    python3 -c 'import sys, xml.dom.minidom
for name in sys.argv[1:]: xml.dom.minidom.parse(name)' ./*/report.html ./*/plots/*.svg
fi

echo '{"step": 1, "loss": }' >>fine/metrics.jsonl
sed -i '1s/NORM/<script>alert(1)<\/script>/g' fine/predictions.csv
code=0
ecgfm report fine 2>stderr.txt || code=$?
echo "exit $code"
sed 's/line [0-9]*/line N/; s/:.*//' stderr.txt
grep -c 'metrics.jsonl</code> cannot be read' fine/report.html
grep -c '<script' fine/report.html || true
grep -q '&lt;script&gt;alert(1)&lt;/script&gt;' fine/report.html && echo escaped
ls fine/plots

mkdir empty
for folder in empty nowhere; do
    code=0
    ecgfm report $folder 2>stderr.txt || code=$?
    echo "$(cut -d';' -f1 stderr.txt) $code"
done
ecgfm finetune --data data --weights pre --epochs 1 --batch 8 --bootstrap 0 --out fine --fresh --quiet >/dev/null
ls fine/plots
