#!/usr/bin/env bash
# inference_check.sh BUILD: the library that only runs models, and the one without optional libraries. BUILD has the
# whole library and the programs.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$tree/tests/inference
build=$(cd "$1" && pwd)
most_bytes=1000000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo "inference_check.sh: line $LINENO failed: $BASH_COMMAND"' ERR

fail() {
    echo "$*"
    exit 1
}

# ---- the library that only runs models --------------------------------------------------------------

cd "$tree"
cmake --preset inference -DQUERN_WERROR=ON -DQUERN_CUDA=OFF > /dev/null
cmake --build build/inference -j "$(nproc)" > "$work/build.log" || fail "$(tail -n 30 "$work/build.log")"
cmake --install build/inference --prefix "$work/small" > /dev/null
cmake --install "$build" --prefix "$work/whole" > /dev/null

library=$(find "$work/small" -name 'libquern.so' -exec readlink -f {} \;)
strip "$library"
bytes=$(stat -c %s "$library")
[ "$bytes" -le $most_bytes ] || fail "libquern.so has $bytes bytes, expected at most $most_bytes"
needed=$(objdump -p "$library" | awk '$1 == "NEEDED" { print $2 }' | sort | tr '\n' ' ')
[[ ! $needed =~ jansson|png|csv|utf8proc|deflate|protobuf ]] || fail "libquern.so needs $needed"
for header in data text series optim train; do
    [ -z "$(find "$work/small" -name "$header.h")" ] || fail "$header.h is installed"
done

# run LIBRARY MODEL NETWORK: with the headers of that installation
run() {
    local flags
    export PKG_CONFIG_PATH
    PKG_CONFIG_PATH=$(dirname "$(find "$work/$1" -name quern.pc)")
    read -ra flags <<< "$(pkg-config --cflags --libs quern)"
    cc -Wall -Wextra -Werror -I examples/mnist -o "$work/$1-model" "$here/run_model.c" \
        examples/mnist/mnist_networks.c "${flags[@]}" -lm -Wl,-rpath,"$(pkg-config --variable=libdir quern)"
    "$work/$1-model" "$2" "$3"
}

for network in mlp lenet; do
    "$build/bin/mnist" train --data examples/mnist/data --model $network --epochs 1 --quiet \
        --save "$work/$network.safetensors" > /dev/null
    run whole "$work/$network.safetensors" $network > "$work/expected"
    run small "$work/$network.safetensors" $network > "$work/got"
    [ "$(sort -u "$work/expected" | wc -l)" -gt 100 ] || fail "$network: the outputs are all alike"
    cmp "$work/expected" "$work/got" || fail "$network: the library that only runs models gives other bits"
done
echo "inference: $bytes bytes; needs $needed"

# ---- without optional libraries ---------------------------------------------------------------------

# optional PARAMETER: of each quern_optional() in CMakeLists.txt
optional_names=$(sed -nE 's/^quern_optional\((\w+) .*/\1/p' CMakeLists.txt)
optional_packages=$(sed -nE 's/^quern_optional\(.* PACKAGES (([a-z0-9-]+ ?)+).*/\1/p' CMakeLists.txt | xargs)
listed=$(sed -nE 's/^optional_packages=\((.*)\)/\1/p' run)
[ "$optional_packages" = "$listed" ] || fail "CMakeLists.txt has '$optional_packages', run has '$listed'"

without=()
for name in $optional_names; do
    without+=("-DQUERN_WITH_$name=OFF")
done
cmake -S . -B "$work/bare" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O0 -DQUERN_WERROR=ON -DQUERN_TESTS=OFF \
    -DQUERN_EXAMPLES=OFF -DQUERN_CUDA=OFF -DQUERN_AVX512=OFF "${without[@]}" > /dev/null
cmake --build "$work/bare" -j "$(nproc)" --target quern > "$work/build.log" || fail "$(tail -n 30 "$work/build.log")"
objdump -p "$work/bare/libquern.so" | awk '$1 == "NEEDED"' > "$work/needed"
! grep -E 'deflate|protobuf' "$work/needed" || fail "libquern.so needs what it was built without"
cc -Wall -Wextra -Werror -I core/include -o "$work/without" "$here/without_optional.c" -L "$work/bare" -lquern \
    -Wl,-rpath,"$work/bare"
"$work/without" tests/fuzz/corpus/fuzz_series/items.csv.gz || fail "a build without optional libraries errs"

# ---- settings that do not go together ---------------------------------------------------------------

if said=$(cmake -S . -B "$work/odd" -DQUERN_DATA=OFF 2>&1); then
    fail "QUERN_TRAIN was configured without QUERN_DATA"
fi
[[ $said == *"QUERN_TRAIN needs QUERN_DATA"* ]] || fail "instead of what is missing CMake said: $said"
