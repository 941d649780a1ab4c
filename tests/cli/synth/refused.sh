status() { "$@" && echo 0 || echo $?; }
mkdir full
echo mine >full/notes.txt
status ecgfm synth --out full --records 2
status ecgfm synth --out full/notes.txt --records 2
status ecgfm synth --records 2
status ecgfm synth --out new --records 0
status ecgfm synth --out new --rate 200
status ecgfm synth --out new --duration 1
status ecgfm synth --out new extra
ls
cat full/*
status ecgfm synth --out full --records 2 --overwrite --quiet >/dev/null
mkdir genuine
echo ecg_id >genuine/ptbxl_database.csv
status ecgfm synth --out genuine --records 2 --overwrite
