#!/usr/bin/env bash
# headers.sh: every public header alone, in C11 by gcc and clang, in C++17 by g++ and clang++, strictly;
# the examples in their first comments; and all of them through pycparser, by which Python's cffi reads declarations.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../core/include" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# compile COMPILER FLAG... : all headers, each in a file of its own
compile() {
    local header
    command -v "$1" > /dev/null || {
        echo "no $1 here"
        return
    }
    for header in *.h quern/*.h; do
        echo "#include \"$header\"" > "$work/one.$language"
        "$@" -Wall -Wextra -pedantic-errors -Werror -I . -fsyntax-only "$work/one.$language" || {
            echo "$header alone does not compile: $*"
            status=1
        }
    done
}

language=c
compile gcc -std=c11
compile clang -std=c11
language=cpp
compile g++ -std=c++17
compile clang++ -std=c++17

# The example in a header's first comment, whose lines are indented by five spaces, with what it takes as given.
example() {
    echo "#include <quern.h>"
    echo "void example(qn_context *, qn_module *, qn_tensor *, qn_dataset *, qn_dataset *, qn_plan_fn, int64_t);"
    echo "void example(qn_context *ctx, qn_module *net, qn_tensor *x, qn_dataset *train, qn_dataset *held_out,"
    echo "             qn_plan_fn step, int64_t channels) {"
    echo "    qn_tensor *weight = x, *bias = x, *head = x, *target = x;"
    echo "    int model = 0;"
    echo "    {"
    # A function within a function, as gcc has it, is not static.
    sed -n '/\*\//q; s/^ \*     //p' "$1" | sed 's/^static //'
    echo "    }"
    echo "}"
}

examples=0
for header in quern/*.h; do
    example "$header" > "$work/example.c"
    [ "$(wc -l < "$work/example.c")" -gt 9 ] || continue
    examples=$((examples + 1))
    gcc -std=gnu11 -Wall -Wextra -Wno-unused -Werror -I . -fsyntax-only "$work/example.c" || {
        echo "the example of $header does not compile"
        status=1
    }
done
[ $examples -ge 10 ] || {
    echo "only $examples headers have an example"
    status=1
}

# What attributes and includes of the system there are is not for pycparser.
parse() {
    python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q pycparser || return 77
    mkdir "$work/none"
    for header in stdarg stdbool stddef stdint stdio string; do
        : > "$work/none/$header.h"
    done
    {
        echo "typedef long int64_t; typedef unsigned long uint64_t; typedef unsigned long size_t;"
        echo "typedef int int32_t; typedef unsigned uint32_t; typedef unsigned short uint16_t;"
        echo "typedef unsigned char uint8_t; typedef int bool; typedef struct FILE FILE;"
        echo "typedef long va_list;"
        gcc -std=c11 -E -P -nostdinc -D'__attribute__(x)=' -I "$work/none" -I . quern.h
    } > "$work/all.c"
    "$work/venv/bin/python" - "$work/all.c" <<'PYTHON'
import sys
from pycparser import c_parser
tree = c_parser.CParser().parse(open(sys.argv[1]).read())
functions = [d.name for d in tree.ext if getattr(d, "name", None) and d.name.startswith("qn_")]
print("pycparser:", len(functions), "functions")
sys.exit(len(functions) < 300)
PYTHON
}
parse > "$work/parse.txt" 2>&1
case $? in
    0) cat "$work/parse.txt" ;;
    77) echo "pycparser: not to be had here" ;;
    *)
        cat "$work/parse.txt"
        status=1
        ;;
esac
exit $status
