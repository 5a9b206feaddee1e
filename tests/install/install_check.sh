#!/usr/bin/env bash
# install_check.sh BUILD: installs a build and uses it from outside the tree, every way there is.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo "install_check.sh: line $LINENO failed: $BASH_COMMAND"' ERR
prefix=$work/prefix

cmake --install "$build" --prefix "$prefix" > /dev/null
[ -s "$prefix/share/quern/quern-ops.json" ]
find "$prefix" -type f | sed "s|$work/||" | sort

# What runs must be linked with the library of this installation, or with none. (grep reads to the end:
# with -q it may go before ldd has finished, whose broken pipe then counts as the failure.)
links_shared() { ldd "$1" | grep "libquern.so.* $prefix/" > /dev/null; }
links_static() { ! ldd "$1" | grep libquern > /dev/null; }

cmake -S "$here" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" > /dev/null
cmake --build "$work/cmake" > /dev/null
links_shared "$work/cmake/with_shared"
links_static "$work/cmake/with_static"
"$work/cmake/with_shared"
"$work/cmake/with_static"

libdir=$(dirname "$(find "$prefix" -name libquern.a)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
# Flags are words to the compiler, so they stay unquoted.
# shellcheck disable=SC2046
cc -o "$work/pc_shared" "$here/consumer.c" $(pkg-config --cflags --libs quern) -lm -Wl,-rpath,"$libdir"
# shellcheck disable=SC2046
cc -o "$work/pc_static" "$here/consumer.c" $(pkg-config --cflags quern) \
    $(pkg-config --static --libs quern | sed "s|-lquern|-l:libquern.a|")
links_shared "$work/pc_shared"
links_static "$work/pc_static"
"$work/pc_shared"
"$work/pc_static"

# A backend compiled against the installed header alone.
# shellcheck disable=SC2046
cc -shared -fPIC -Wall -Wextra -Werror -o "$work/libquern-template.so" "$here/../../backends/template/template.c" \
    $(pkg-config --cflags quern)
for program in pc_shared pc_static; do
    QUERN_BACKEND_PATH=$work "$work/$program" template:0
done

# The program of the README, as it stands there.
awk '/^```c$/ { inside = 1; next } /^```$/ && inside { exit } inside' \
    "$here/../../README.md" > "$work/readme.c"
# shellcheck disable=SC2046
cc -Wall -Wextra -Werror -o "$work/readme" "$work/readme.c" $(pkg-config --cflags --libs quern)

include=$(dirname "$(find "$prefix" -name quern.h)")
c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only -x c++ "$include/quern_backend.h"
# shellcheck disable=SC2046
c++ -std=c++17 -Wall -Wextra -pedantic-errors -Werror -o "$work/cpp" "$here/consumer.cpp" \
    $(pkg-config --cflags --libs quern) -Wl,-rpath,"$libdir"
"$work/cpp"
