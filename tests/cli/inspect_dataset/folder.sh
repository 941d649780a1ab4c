# A folder with a labels.csv: counts by class and fold, and every problem by name.
mkdir set
cd set
printf 'a 1 100 4 0:0:0\na.dat 16 1000/mV 16 0 1 10 0 I\n' >a.hea
printf '\001\000\002\000\003\000\004\000' >a.dat
sed 's/^a/b/; s/ 10 / 11 /' a.hea >b.hea
cp a.dat b.dat
sed 's/^a/c/' a.hea >c.hea
head -c 5 a.dat >c.dat
printf 'd 1 100 4\nd.dat 16 1000/mV 16 0 7 28 0 I\n' >d.hea
printf '\007\000\007\000\007\000\007\000' >d.dat
echo nonsense >e.hea
cat >labels.csv <<TABLE
file,labels,fold,patient,age,sex
a,AF;LBBB,1,p1,60,f
b,AF,9,p2,70,m
c,LBBB,10,p1,,
d,,2,p3,300,m
e,AF,3,p4,20,m
a,AF,1,p1,60,f
f,AF,12,p5,20,m
../g,AF,1,p6,20,m
TABLE
cd ..
ecgfm inspect set --threads 2
