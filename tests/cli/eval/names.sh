# Names of classes and groups are a stranger's: nothing in them gets to a terminal but text.
printf 'id,fold,patient,y_\033[2J\xc2\x9bx,y_\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9x\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9z' >header
sed 's/.*patient,//; s/y_/p_/g' header >scores
{ cat header; printf ','; cat scores; printf '\nr1,1,1,1,0,0.9,0.2\nr2,1,2,0,1,0.3,0.8\n'; } >p.csv
printf 'id,fold,patient,v_a\007e,e_a\007e\nr1,1,1,50,51\nr2,1,2,60,65\n' >v.csv
printf 'id,w\033eather\nr1,\033[31mred\nr2,b\303\n' >groups.csv
ecgfm eval -q --predictions p.csv --bootstrap 0 --metrics auroc --subgroups-file groups.csv
ecgfm eval -q --compare p.csv p.csv --bootstrap 0 | cut -d' ' -f1
ecgfm eval -q --predictions v.csv --bootstrap 0 --subgroups-file groups.csv | cut -c1-60
