#!/usr/bin/env bash
# exports.sh LIBRARY: the shared library exports what the public header declares and exports.list keeps.
# exports.sh --update: writes exports.list anew from the header.
set -euo pipefail
argument=${1:?usage: exports.sh LIBRARY | --update}
library=$(realpath -- "$argument")
cd "$(dirname "${BASH_SOURCE[0]}")"

# Names of the functions that quern.h marks QN_API, which the preprocessor shows as an attribute.
declared() {
    "${CC:-cc}" -E -P ../core/include/quern.h -I ../core/include | tr '\n' ' ' | tr ';{}' '[\n*]' |
        sed -nE 's/.*visibility\("default"\)\)\) [^(]*[ *]([A-Za-z0-9_]+)\(.*/\1/p' | LC_ALL=C sort
}
exported() { nm -D --defined-only "$1" | awk '{print $3}' | LC_ALL=C sort; }

if [ "$argument" = --update ]; then
    declared > exports.list
    exit
fi
diff -u --label exports.list --label core/include/quern.h exports.list <(declared) || {
    echo "exports.sh: exports.list and core/include differ; tests/exports.sh --update writes the list" >&2
    exit 1
}
diff -u --label exports.list --label "$(basename "$library")" exports.list <(exported "$library") || {
    echo "exports.sh: the library does not export what exports.list says" >&2
    exit 1
}
! grep -vE '^qn_' exports.list || {
    echo "exports.sh: exported names start with qn_" >&2
    exit 1
}
