#!/usr/bin/env bash
# operation_check.sh: adds an operation to a copy of the tree by the four touches, and runs its row.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(cd "$here/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'echo "operation_check.sh: line $LINENO failed: $BASH_COMMAND"' ERR

for part in CMakeLists.txt core kernels backends tests; do
    cp -r "$tree/$part" "$copy"
done

sed -i 's|^QN_API qn_tensor \*qn_softplus(.*|&\nQN_API qn_tensor *qn_softsign(qn_tensor *x); /**< x / (1 + abs(x)) */|' \
    "$copy/core/include/quern/ops.h"
cp "$here/softsign.c" "$copy/core/ops"
cp "$here/softsign_ref.c" "$copy/kernels/ref"
echo 'OP_CASE(softsign, ONCE, qn_softsign(x[0]), INPUTS("7x5"), INPUTS("64x1031"))' >> "$copy/tests/op_cases.def"

cmake -S "$copy" -B "$copy/build" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O0 -DQUERN_WERROR=ON -DQUERN_TESTS=ON \
    -DQUERN_EXAMPLES=OFF -DQUERN_CUDA=OFF -DQUERN_AVX512=OFF > /dev/null
cmake --build "$copy/build" -j "$(nproc)" --target test_ops test_operations test_plan_fuse > /dev/null
tests=$copy/build/bin/tests

# Its row: against the oracle, and its derivative against central differences.
QUERN_TEST_ROWS=softsign "$tests/test_ops" --short-filename --verbose 2>&1 | tee "$copy/ops.log" | tail -n 1
grep -q 'Failing: 0 | Crashing: 0' "$copy/ops.log"
[ "$(grep -c '^\[PASS\] ops::each_provider_gives_what_the_oracle_gives' "$copy/ops.log")" -ge 1 ]
# What descriptors owe the others, and the description that bindings read.
"$tests/test_operations" --short-filename
"$tests/test_plan_fuse" --short-filename --filter 'plan_fuse/each_operation_says_what_it_costs'
grep -q '"name": "softsign"' "$copy/build/quern-ops.json"
