# JSON: every problem and every class; a folder in which nothing can be read.
mkdir set
cd set
printf 'e 1 100 4\n' >e.hea
printf 'id,AF\ne,1\n' >labels.csv
touch SYNTHETIC
cd ..
ecgfm inspect set --json
