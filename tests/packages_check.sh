#!/usr/bin/env bash
# packages_check.sh: `./run build` asks for packages only where a build needs them. A copy of `run` meets a user
# without sudo and stand-ins for the system's programs, which know the packages that are "there".
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
cp "$here/../run" "$work/run"
status=0

# stand_in NAME LINE: a program of one line
stand_in() {
    printf '#!/bin/bash\n%s\n' "$2" > "$work/bin/$1"
    chmod +x "$work/bin/$1"
}
for tool in bash dirname grep head mkdir nproc tail; do
    ln -s "$(command -v $tool)" "$work/bin/$tool"
done
stand_in id 'echo 1000'
stand_in apt-get 'echo "asked for: $*"'
stand_in cmake 'exit 0'
# shellcheck disable=SC2016 # the stand-in expands it
stand_in pkg-config '[[ " $THERE " == *" pc:$2 "* ]]'
# shellcheck disable=SC2016
stand_in dpkg-query '[[ " $THERE " != *" ${*: -1} "* ]] || echo "install ok installed"'

# expect WORDS PACKAGES: what `./run build` says first where these are there
expect() {
    local said
    said=$(PATH=$work/bin THERE=$2 "$work/run" build 2>&1 | head -n 1)
    [[ $said == *"$1"* ]] || {
        echo "with $2: instead of \"$1\" it said \"$said\""
        status=1
    }
}

needed="gcc libc6-dev make pkg-config zlib1g-dev libjansson-dev libpng-dev libcsv-dev libutf8proc-dev"
optional="libdeflate-dev libprotobuf-c-dev protobuf-c-compiler"
expect "Building into" "$needed libopenblas-dev $optional"
expect "Building without ${optional}, which are optional" "$needed libopenblas-dev"
expect "please install: libopenblas-dev" "$needed"
expect "Building without libdeflate-dev, which" "$needed pc:openblas pc:libprotobuf-c protobuf-c-compiler"
[ $status -eq 0 ] && echo "run asks for what is needed alone"
exit $status
