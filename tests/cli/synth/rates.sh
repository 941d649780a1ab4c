ecgfm synth --out set --records 3 --rate both --duration 4 --quiet >/dev/null
head -1 set/records100/00000/00002_lr.hea set/records500/00000/00002_hr.hea
tail -c +1 set/RECORDS
ecgfm synth --out set --records 2 --rate 500 --duration 4 --quiet >/dev/null
cat set/RECORDS
find set -name '*.dat'
