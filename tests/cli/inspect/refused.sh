# Each bad record ends with 1 and a sentence that names the file and the field.
refuse() { if ecgfm inspect "$@"; then echo "$* was taken"; fi; }
printf '\x01\x00\x02\x00' >r.dat
printf 'r 1 0 2\nr.dat 16\n' >rate.hea
printf 'r 2 100 2\nr.dat 16\n' >count.hea
printf 'r 1 100 2\n../r.dat 16\n' >path.hea
printf 'r 1 100 3\nr.dat 16 1/mV 16 0 1 6\n' >short.hea
printf 'A text.\n' >text.hea
refuse rate.hea
refuse count
refuse path.hea
refuse text.hea
refuse none.hea
refuse short --strict
ecgfm inspect short | grep flags
