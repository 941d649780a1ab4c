#!/bin/bash
# The house rules that a compiler does not check, read from the text of the sources.
#   check.sh floors    a file includes its own folder and lower floors only
#   check.sh banned    calls that are not allowed anywhere
#   check.sh voices    only src/cli prints or exits
#   check.sh headers   every header: guard, opening comment, a comment on each function
#   check.sh format    .clang-format was applied
# Run in the repository root. Exit 0: clean, 1: findings (one line each), 77: cannot be checked.
set -eu
export LC_ALL=C
shopt -s nullglob

# Lines of C with comments and the contents of strings removed, as FILE:LINE:text.
strip_c() {
    awk '
    FNR == 1 { inside = 0 }
    !inside && !/["\047\/]/ { print FILENAME ":" FNR ":" $0; next }
    {
        line = $0; out = ""
        while (length(line) > 0) {
            if (inside) {
                end = index(line, "*/")
                if (end == 0) { line = ""; break }
                line = substr(line, end + 2); inside = 0
                continue
            }
            c = substr(line, 1, 1); two = substr(line, 1, 2)
            if (two == "/*") { inside = 1; line = substr(line, 3) }
            else if (two == "//") { line = "" }
            else if (c == "\"" && match(line, /^"([^"\\]|\\.)*"/)) {
                out = out "\"\""; line = substr(line, RLENGTH + 1)
            }
            else if (c == "\047" && match(line, /^\047([^\047\\]|\\.[^\047]*)\047/)) {
                out = out "0"; line = substr(line, RLENGTH + 1)
            }
            else { out = out c; line = substr(line, 2) }
        }
        print FILENAME ":" FNR ":" out
    }' "$@"
}

# Prints what it reads and fails if that is anything.
report() {
    local found
    found=$(cat)
    [ -z "$found" ] && return 0
    printf '%s\n' "$found"
    return 1
}

check_floors() {
    grep -nH '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' src/*/*.c src/*/*.h src/*/*.inc |
    awk -F: '
    BEGIN {
        split("base 0 kernel 1 signal 1 metric 1 comm 1 graph 2 format 2 nn 3 data 3 model 4 " \
              "objective 5 train 6 report 7 cli 8 api 8", words, " ")
        for (i = 1; i in words; i += 2) floor[words[i]] = words[i + 1]
    }
    {
        split($1, path, "/"); own = path[2]
        match($3, /"[^"]*"/); name = substr($3, RSTART + 1, RLENGTH - 2)
        split(name, parts, "/"); other = parts[1]
        where = $1 ":" $2 ": "
        if (!(own in floor)) print where "folder src/" own " is on no floor: add it to tests/style/check.sh"
        else if (!(other in floor)) print where "\"" name "\": include as \"folder/file.h\""
        else if (other != own && floor[other] >= floor[own])
            print where own " (floor " floor[own] ") includes " name " (floor " floor[other] ")"
    }' | report
}

check_banned() {
    local status=0 name='(^|[^A-Za-z0-9_])'
    # Overflow, locale, hidden state, no error report.
    strip_c src/*/*.[ch] src/*/*.inc tests/*/*.[ch] |
        grep -E "$name(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof|rand|srand|random|srandom|alloca|scanf|fscanf|sscanf|vsscanf|tmpnam|mktemp|setlocale|localtime|gmtime|asctime|ctime)[[:space:]]*\(" |
        sed 's/$/   <- banned call/' | report || status=1
    # Numbers are read by base/str.h, which does not depend on the locale.
    strip_c src/*/*.[ch] src/*/*.inc | grep -v '^src/base/str\.c:' |
        grep -E "$name(strtod|strtof|strtold|strtol|strtoul|strtoll|strtoull)[[:space:]]*\(" |
        sed 's/$/   <- use base\/str.h/' | report || status=1
    # cJSON's own printer loses the last bit of some numbers, its parser lets much pass.
    strip_c src/*/*.[ch] | grep -v '^src/base/json\.c:' |
        grep -E "${name}cJSON_(Parse|Print)[A-Za-z]*[[:space:]]*\(" |
        sed 's/$/   <- use base\/json.h/' | report || status=1
    # One file knows the oneDNN interface, so that 2.x and 3.x differ in one place.
    grep -lE '#[[:space:]]*include[[:space:]]*<(oneapi/dnnl/)?dnnl[a-z_]*\.h>' src/*/*.[ch] |
        sed 1d | sed 's/$/: oneDNN is included by another file already/' | report || status=1
    return $status
}

check_voices() {
    # base/err.c: bug_abort() says why it ends the process.
    strip_c src/*/*.[ch] src/*/*.inc | grep -vE '^src/(cli/|base/err\.c:)' |
        grep -E '(^|[^A-Za-z0-9_])((printf|vprintf|puts|putchar|perror|exit|_exit|_Exit|quick_exit|abort)[[:space:]]*\(|(stdout|stderr)([^A-Za-z0-9_]|$))' |
        sed 's/$/   <- only src\/cli prints or exits/' | report
}

# In a header, declarations between two blank lines make a group; a comment anywhere in the group, or
# behind the declaration, counts for all of it.
check_headers() {
    local status=0 file guard
    for file in src/*/*.h include/*.h; do
        if ! head -1 "$file" | grep -q '^/\*'; then
            echo "$file:1: begins without a comment on its purpose"
            status=1
        fi
        guard=ECGFM_$(printf '%s' "${file#*/}" | tr 'a-z/.' 'A-Z__')
        if ! grep -q "^#ifndef $guard\$" "$file" || ! grep -q "^#define $guard\$" "$file"; then
            echo "$file: expected the include guard $guard"
            status=1
        fi
    done
    awk '
    function flush(   i) {
        if (!commented) for (i = 0; i < count; i++) print place[i] ": no comment: " text[i]
        count = 0; commented = 0
    }
    FNR == 1 { flush(); depth = 0; inside = 0; started = 0 }
    /^[[:space:]]*$/ && depth == 0 && !inside { flush(); next }
    {
        line = $0
        if (inside || line ~ /\/\*/) { if (started) commented = 1 }
        if (line ~ /\/\*/ && line !~ /\*\//) inside = 1
        if (line ~ /\*\//) inside = 0
        if (line ~ /^#/) { started = 1; next }
        if (depth == 0 && !inside && line ~ /^[A-Za-z_].*[A-Za-z0-9_]\(/ &&
            line !~ /^(typedef|struct [a-z_0-9]+ *\{|enum|union|OP\(|COMMAND\()/ && line !~ /^ *\/\*/) {
            place[count] = FILENAME ":" FNR; text[count++] = line
        }
        gsub(/"([^"\\]|\\.)*"/, "", line)
        depth += gsub(/\{/, "{", line) - gsub(/\}/, "}", line)
    }
    END { flush() }' src/*/*.h include/*.h | report || status=1
    return $status
}

check_format() {
    if ! command -v clang-format >/dev/null; then
        echo "skipped: clang-format is not installed"
        return 77
    fi
    # Other versions break lines elsewhere.
    if ! clang-format --version | grep -q 'version 14\.'; then
        echo "skipped: formatting is checked with clang-format 14, this is $(clang-format --version)"
        return 77
    fi
    clang-format --dry-run --Werror src/*/*.[ch] include/*.h tests/*/*.[ch] 2>&1 |
        sed -n 's/:[0-9]*:[0-9]*: error: .*/: run clang-format -i on it/p' | sort -u | report
}

case ${1-} in
floors | banned | voices | headers | format) "check_$1" ;;
*)
    echo "usage: check.sh floors|banned|voices|headers|format" >&2
    exit 2
    ;;
esac
