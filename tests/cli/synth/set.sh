ecgfm synth --out set --records 40 --seed 1 --threads 2
find set | LC_ALL=C sort | head -8
find set -type f | wc -l
head -2 set/SYNTHETIC.txt
grep -c synthetic set/ptbxl_database.csv
grep '^#' set/records100/00000/00007_lr.hea
ecgfm synth --out other --records 40 --seed 1 --threads 1 --quiet >/dev/null
diff -r set other && echo same
ecgfm synth --out set --records 40 --seed 1 --json
diff -r set other && echo same
ecgfm synth --out other --records 40 --seed 2 --quiet >/dev/null
diff -rq set other | wc -l
