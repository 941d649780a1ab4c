# Every command explains itself, by both ways of asking, on standard output.
for name in $(ecgfm list commands | awk 'NR > 1 && /^  [a-z]/ { print $1 }'); do
    ecgfm help $name >a
    ecgfm $name --help >b
    cmp a b
    grep -q "^usage: ecgfm $name" a
    grep -q -- --threads a
done
