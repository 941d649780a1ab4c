# The same as JSON, with the samples as float32: 128 bytes of header, then 1, 3, -1, 10, NaN, 0.
printf '\x64\x00\xc8\x00\x2c\x01\x00\x80\x9c\xff\x00\x00' >r.dat
printf 'r 2 2 3\nr.dat 16 100/mV 16 0 100 300 0 MLII\nr.dat 16 20/mmHg 16 0 200 33000 0 ABP\n' >r.hea
ecgfm inspect r.hea --json --samples x.npy
tail -c +129 x.npy | od -An -tf4
head -c 128 x.npy | grep -ao "'shape': (2, 3)"
