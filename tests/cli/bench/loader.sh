# Records read, and read again, and served from memory.
ecgfm synth --out set --records 6 --rate 100 --quiet >/dev/null
ecgfm bench --mode none --loader set --threads 2 --json >loader.json
grep -E '"(records|rate_hz|crop_seconds|threads|open|files|memory)":' loader.json
awk '/"records_per_second"/ || /"processor_seconds_per_record"/ { good += $2 + 0 > 0 }
     END { print good, "rates" }' loader.json
