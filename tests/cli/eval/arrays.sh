# Scores and labels as NumPy arrays: npy FILE TYPE SHAPE BYTES.
npy() {
    local header="{'descr': '$2', 'fortran_order': False, 'shape': ($3), }"
    printf "\x93NUMPY\x01\x00\x$(printf %x ${#header})\x00%s" "$header" >"$1"
    printf "$4" >>"$1"
}
# float64 0.5, 0.75 | 0.25, 0.75 | 0.5, 0.25
h='\0\0\0\0\0\0\xe0\x3f' q='\0\0\0\0\0\0\xd0\x3f' t='\0\0\0\0\0\0\xe8\x3f'
npy scores.npy '<f8' '3, 2' "$h$t$q$t$h$q"
npy labels.npy '|u1' '3, 2' '\1\1\0\0\0\0'
printf 'NORM\nMI\n' >classes.txt
printf 'a\nb\nc\n' >ids.txt
ecgfm eval --predictions scores.npy --labels labels.npy --classes classes.txt --ids ids.txt --bootstrap 0
ecgfm eval --predictions scores.npy --labels labels.npy --bootstrap 0 -q | tail -1
set +e
refused() { ecgfm eval --predictions scores.npy --bootstrap 0 "$@" >/dev/null; echo $?; }
refused
refused --labels scores.npy
npy other.npy '|u1' '2, 3' '\1\1\0\0\0\0'
refused --labels other.npy
npy other.npy '|u1' '3, 2' '\1\1\0\0\0'
refused --labels other.npy
npy other.npy '|u1' '1, 3, 2' '\1\1\0\0\0\0'
refused --labels other.npy
printf 'NORM\nNORM\n' >other.txt
refused --labels labels.npy --classes other.txt
printf 'NORM\n' >other.txt
refused --labels labels.npy --classes other.txt
printf 'NORM\n\nMI\n' >other.txt
refused --labels labels.npy --classes other.txt
npy scores.npy '<f8' '3, 2' "$h$t$q\0\0\0\0\0\0\xf8\x7f$h$q"
refused --labels labels.npy
npy scores.npy '<f8' '0, 2' ''
npy other.npy '|u1' '0, 2' ''
refused --labels other.npy
printf 'id,fold,patient,y_A,p_A\nr1,1,1,1,0.5\n' >scores.npy
refused --labels labels.npy
