#!/bin/bash
# check.sh finds what it is there for: a small tree with one offence of each kind, and one without.
set -eu
check=$(dirname "$(realpath "$0")")/check.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p src/base src/kernel src/signal src/cli include tests/unit

cat >src/base/good.h <<'END'
/* A header as it should be. */
#ifndef ECGFM_BASE_GOOD_H
#define ECGFM_BASE_GOOD_H

/* Says what it does; calls strcpy( and exit( only in this comment. */
int good(int x);
int better(int x); /* beside it */

#endif
END
cat >src/kernel/good.c <<'END'
#include "base/good.h"

const char *text = "strcpy(a, b) /* exit(1)";
int quote = '"';
int my_strcpy(int x) { return x; }
END
cat >src/cli/good.c <<'END'
#include "kernel/good.h"
void f(void) { printf("fine here"); }
END

# expect RULE STATUS TEXT: the rule ends so, and its output holds the text
expect() {
    local status=0 out
    out=$(bash "$check" "$1" 2>&1) || status=$?
    if [ $status != "$2" ] || { [ -n "$3" ] && [ "${out#*"$3"}" = "$out" ]; }; then
        echo "check.sh $1: status $status (expected $2), output (expected to hold \"$3\"):"
        printf '%s\n' "$out"
        exit 1
    fi
}

for rule in floors banned voices headers; do
    expect $rule 0 ""
done

echo '#include "cli/command.h"' >src/base/up.c
expect floors 1 'src/base/up.c:1: base (floor 0) includes cli/command.h (floor 8)'
echo '#include "signal/record.h"' >src/base/up.c
mv src/base/up.c src/kernel/side.c
expect floors 1 'kernel (floor 1) includes signal/record.h (floor 1)'
echo '#include "good.h"' >src/kernel/side.c
expect floors 1 'include as "folder/file.h"'
rm src/kernel/side.c
mkdir src/attic
echo '#include "base/good.h"' >src/attic/x.c
expect floors 1 'folder src/attic is on no floor'
rm -r src/attic

printf 'void f(char *a) {\n  /* x */ strcpy (a, "b"); }\n' >tests/unit/bad.c
expect banned 1 'tests/unit/bad.c:2:'
rm tests/unit/bad.c
echo 'double f(char *a) { return strtod(a, 0); }' >src/kernel/bad.c
expect banned 1 'use base/str.h'
echo '#include <dnnl.h>' >src/kernel/bad.c
expect banned 0 ''
cp src/kernel/bad.c src/kernel/worse.c
expect banned 1 'src/kernel/worse.c: oneDNN'
rm src/kernel/worse.c

echo 'void f(void) { puts("hello"); }' >src/kernel/bad.c
expect voices 1 'src/kernel/bad.c:1:'
echo 'void f(void) { fprintf(stderr, "hello"); }' >src/kernel/bad.c
expect voices 1 'src/kernel/bad.c:1:'
echo 'void f(void) { if (1) exit(2); }' >src/kernel/bad.c
expect voices 1 'src/kernel/bad.c:1:'
rm src/kernel/bad.c

printf '/* H. */\n#ifndef ECGFM_BASE_BAD_H\n#define ECGFM_BASE_BAD_H\n\nint bare(int x);\n\n#endif\n' >src/base/bad.h
expect headers 1 'src/base/bad.h:5: no comment: int bare(int x);'
printf '#ifndef ECGFM_BASE_BAD_H\n#define ECGFM_BASE_BAD_H\n#endif\n' >src/base/bad.h
expect headers 1 'src/base/bad.h:1: begins without a comment'
printf '/* H. */\n#ifndef BAD_H\n#define BAD_H\n#endif\n' >src/base/bad.h
expect headers 1 'expected the include guard ECGFM_BASE_BAD_H'
echo "every rule finds its offence"
