# The table of a small record: two leads, an invalid sample, a wrong checksum, an annotation file.
printf '\x64\x00\xc8\x00\x2c\x01\x00\x80\x9c\xff\x00\x00' >r.dat
cat >r.hea <<'END'
r 2 2 3 17:30:00 24/12/2020
r.dat 16 100/mV 16 0 100 300 0 MLII
r.dat 16 20/mmHg 16 0 200 7 0 ABP
# Age: 61
# Sex: F
# Dx: 426783006
END
printf '\x01\x70\x05\xfc(AFIB\x00\x01\x04\x01\x14\x00\x00' >r.atr
ecgfm inspect r
