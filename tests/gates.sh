#!/usr/bin/env bash
# gates.sh [GATE ...]: every check of the tree, or those named. Called by `./run tests`, which installs
# what they need. Output of each goes to build/gates/<gate>.log and is shown when the gate fails.
#
# The last line is `N passed, N failed, N skipped`, over all gates and all Criterion tests that ran.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
logs=$PWD/build/gates
jobs=$(nproc)
mkdir -p "$logs"
export OMP_WAIT_POLICY=passive # threads of programs that run side by side must not spin

passed=0 failed=0 skipped=0
summary=()

# A gate returns this after saying in its last line why it cannot run here.
readonly SKIP=77

# ---- building ---------------------------------------------------------------------------------------

# build PRESET [CMAKE ARGUMENTS]
build() {
    local preset=$1
    shift
    cmake --preset "$preset" -DQUERN_WERROR=ON "$@" && cmake --build "build/$preset" -j "$jobs"
}

# build_sanitized PRESET [CMAKE ARGUMENTS]: without the AVX-512 kernels where this processor cannot run them.
build_sanitized() {
    local avx512=ON
    grep -qw avx512f /proc/cpuinfo || avx512=OFF
    build "$@" -DQUERN_AVX512=$avx512
}

sources() {
    find core kernels backends examples benchmarks tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' | sort
}

gate_gcc() { build release -DCMAKE_C_COMPILER=gcc -DQUERN_TESTS=ON; }
# nvcc takes gcc for the host's part of kernels whoever compiles the rest: once is enough.
gate_clang() { build clang -DQUERN_NVCC=OFF; }

# ---- style ------------------------------------------------------------------------------------------

gate_format() {
    [[ $(clang-format --version) == *"version 14."* ]] || {
        echo "the tree is formatted as clang-format 14 does it, and that is not here"
        return $SKIP
    }
    sources | xargs clang-format --dry-run -Werror
}

gate_spelling() { codespell; }

gate_shell() { find run .ci/run tests \( -name run -o -name '*.sh' \) -print0 | xargs -0 shellcheck; }

# Every file once, as the clang build compiles it, but for the faults on purpose.
gate_tidy() {
    mkdir -p build/tidy
    python3 - > build/tidy/compile_commands.json <<'ONCE'
import json
commands = json.load(open("build/clang/compile_commands.json"))
json.dump(list({command["file"]: command for command in commands}.values()), open(1, "w"))
ONCE
    find core kernels backends examples benchmarks tests -name '*.c' -not -path '*/planted/*' |
        grep -Ff <(sed -n 's|.*"file": ".*/\([^/]*\.c\)".*|/\1|p' build/clang/compile_commands.json) |
        xargs -P "$jobs" -n 4 clang-tidy -p build/tidy --quiet
}

# ---- tests ------------------------------------------------------------------------------------------

# each COMMAND ARGUMENT ITEM...: runs COMMAND ARGUMENT ITEM for all items, as many at a time as there are cores;
# false if one of them failed.
each() {
    local command=$1 argument=$2 item running=0 status=0
    shift 2
    for item in "$@"; do
        if [ $running -lt "$jobs" ]; then
            running=$((running + 1))
        else
            wait -n || status=1
        fi
        "$command" "$argument" "$item" &
    done
    for ((; running > 0; running--)); do
        wait -n || status=1
    done
    return $status
}

# OpenBLAS's own threads, which the library keeps out of its products, spin for a while in each process: 24 ms of
# processor time a test. The gate `tests` runs with them, the other gates without.
without_spinning() { export OPENBLAS_NUM_THREADS=1; }

# run_tests PRESET PROGRAM...: runs test programs (TEST_FILTER: some of their tests); their numbers go to a file,
# for the last line.
run_tests() { each run_test "$@"; }

run_test() {
    local preset=$1 path=$2 status=0 name log
    name=$(basename "$path")
    log=$logs/$preset-$name.txt
    "$path" --verbose --short-filename ${TEST_FILTER:+--filter "$TEST_FILTER"} > "$log" 2>&1 < /dev/null ||
        status=1
    {
        grep -q 'Synthesis:' "$log" || {
            echo "$name ended without a summary"
            status=1
        }
        # Criterion calls a test passed although what was asserted after it, in .fini, did not hold.
        ! grep -q 'Assertion Failed' "$log" || status=1
        echo "$name: $(sed -n 's/.*Synthesis: //p' "$log")"
        grep -E '^\[(----|FAIL|SKIP|WARN)|: failed: ' "$log" | grep -vE '^\[----\] ( *$|Criterion v)'
    } > "$log.short"
    cat "$log.short" # in one piece, whatever else runs
    sed -nE 's/.*Passing: ([0-9]+) .*Failing: ([0-9]+) .*/\1 \2 0/p; s/^\[SKIP.*/0 0 1/p' "$log" >> "$logs/counts"
    return $status
}

gate_tests() {
    # The plug-in of an earlier run: where there is no GPU, programs would say a line about it.
    rm -f build/release/libquern-cuda.so
    run_tests release build/release/bin/tests/test_* || return 1
    grep -qs '^AMX: ' "$logs/release-test_amx.txt" && # one line a test: the same way in all of them
        sed -nE 's/^AMX: (natively|emulated|skipped).*/AMX products: \1/p' "$logs/release-test_amx.txt" | sort -u
    return 0
}

# sanitized PRESET PLANTED: runs a sanitizer's test programs. Reports go to files: Criterion calls a test
# passed although its process ended with a report. The planted fault must be reported, nothing else.
sanitized() {
    local preset=$1 planted=build/$1/bin/tests/$2 reports=$PWD/build/$1/reports status=0
    without_spinning
    rm -rf "$reports"
    mkdir -p "$reports"
    # Impossible sizes are asked for on purpose: the allocator is to return NULL, as malloc does.
    local common=allocator_may_return_null=1:log_path=$reports/report
    export ASAN_OPTIONS=max_allocation_size_mb=4096:detect_leaks=1:detect_stack_use_after_return=1:$common
    export UBSAN_OPTIONS=print_stacktrace=1:$common
    export TSAN_OPTIONS=ignore_noninstrumented_modules=1:$common
    "$planted" > "$logs/$preset-planted.txt" 2>&1 < /dev/null
    faults "$reports" > /dev/null || {
        echo "the fault in $2 was not reported"
        return 1
    }
    rm "$reports"/report*
    run_tests "$preset" "build/$preset/bin/tests"/test_* || status=1
    ! faults "$reports" || status=1
    return $status
}

# Shows the reports of faults; false if there are none.
faults() {
    grep -lE 'ERROR: |runtime error: |WARNING: ThreadSanitizer: ' "$1"/report* 2> /dev/null |
        xargs -r cat | grep .
}

# Kills, flipped bits, full disks and locales against the programs; calls with NULL and failing allocations are tests.
gate_attacks() {
    cmake --build build/release -j "$jobs" --target set_locale || return 1
    tests/torture/torture.py --quick --minutes 2
}

gate_asan() { build_sanitized asan -DQUERN_TESTS=ON && sanitized asan planted_leak; }
gate_tsan() { build_sanitized tsan -DQUERN_TESTS=ON && sanitized tsan planted_race; }

gate_lessons() {
    local lesson
    for lesson in build/release/bin/lessons/*; do
        echo "$lesson"
        (cd "$(mktemp -d)" && "$OLDPWD/$lesson") || return 1
    done
}

# Each fuzz target for a short while, from a copy of its corpus.
gate_fuzz() {
    build fuzz || return 1
    export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
    each fuzz "${FUZZ_SECONDS:-12}" build/fuzz/bin/fuzz/*
}

# fuzz SECONDS TARGET
fuzz() {
    local name status
    name=$(basename "$2")
    mkdir -p "build/fuzz/work/$name"
    cp -r "tests/fuzz/corpus/$name/." "build/fuzz/work/$name" || return 1
    "$2" -max_total_time="$1" -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$name-" "build/fuzz/work/$name" > "$logs/$name.txt" 2>&1 < /dev/null
    status=$?
    cat "$logs/$name.txt"
    return $status
}

# ---- CUDA -------------------------------------------------------------------------------------------

# What both gates say where there is no toolkit.
readonly NO_TOOLKIT="no CUDA Toolkit with cuDNN here (Debian: nvidia-cuda-toolkit and nvidia-cudnn of contrib and non-free; \
or cuda-toolkit and cudnn of NVIDIA's own packages)"

has_nvcc() { grep -q '^QUERN_NVCC:FILEPATH=/' build/release/CMakeCache.txt; }

# with_nvcc TARGET...: for one architecture: what a kernel's code is does not depend on it, and each costs minutes.
with_nvcc() {
    cmake --preset release -DQUERN_CUDA_ARCHITECTURES=80-virtual &&
        cmake --build build/release -j "$jobs" --target "$@"
}

# Suites that any device must pass.
readonly DEVICE_SUITES=(ops layouts values views refusals products matrix stateful nn recurrent attention embedding
    sequence_ops random core cuda cuda_precision sixteen_bits plan plan_fuse plan_floor plan_memory tidy optim loss_scale
    train fit_end fit_output lengths resume)

# The plug-in that nvcc made exports its entry alone, and a machine without a driver is told so in a line.
gate_cuda() {
    local plugin=build/release/libquern-cuda.so exported line
    has_nvcc || {
        echo "CUDA: not built, $NO_TOOLKIT"
        return $SKIP
    }
    tests/cuda/resources.py || return 1
    with_nvcc quern_cuda || return 1
    exported=$(nm -D --defined-only $plugin | awk '{ print $3 }') || return 1
    [ "$exported" = qn_backend_entry_v1 ] || {
        echo "$plugin exports: $exported"
        return 1
    }
    ! nvidia-smi -L > /dev/null 2>&1 || {
        QUERN_TEST_DEVICE=cuda QUERN_BACKEND_PATH=$PWD/build/release \
            run_tests cuda "${DEVICE_SUITES[@]/#/build/release/bin/tests/test_}"
        return
    }
    ! line=$(QUERN_BACKEND_PATH=build/release build/release/bin/mnist train --device cuda 2>&1) || {
        echo "trained on a GPU that is not there: $line"
        return 1
    }
    if [ "$(wc -l <<< "$line")" -ne 1 ] || [[ $line != *driver* ]]; then
        echo "instead of a line that says what is missing: $line"
        return 1
    fi
    echo "CUDA: built; no GPU here, so its own kernels were not run"
}

# The plug-in and the programs as they are, on shared objects that stand in for NVIDIA's and run the kernels' PTX.
cudasim_ptx() {
    local tests=build/release/bin/tests status=0
    export LD_LIBRARY_PATH=$PWD/build/release/bin/cudasim/ptx QUERN_BACKEND_PATH=$PWD/build/release
    QUERN_TEST_DEVICE=cuda run_tests cudasim "${DEVICE_SUITES[@]/#/$tests/test_}" || status=1
    tests/cudasim/train_examples.py build/release/bin || status=1
    TEST_FILTER='cudasim/what_nvcc_*' run_tests cudasim-nvcc $tests/test_cudasim || status=1
    return $status
}

# The operation table with each access checked, with threads run forward and in reverse: values, layouts and gradients
# by each row. Difference quotients, which call it most, run above.
cudasim_checked() {
    local status=0 order
    export QUERN_BACKEND_PATH=$PWD/build/release/bin/cudasim/checked QUERN_TEST_DEVICE=cuda QUERN_POOL=off
    for order in forward reverse; do
        TEST_FILTER='@(ops|layouts)/@(each_*|nan_*|empty_*|large_*|a_*)' CUDASIM_ORDER=$order \
            run_tests "cudasim-$order" build/release/bin/tests/test_{ops,layouts} || status=1
    done
    return $status
}

# The backend on the simulated GPU, both forms side by side.
gate_cudasim() {
    local parts=() part status=0
    [ -f build/release/bin/cudasim/checked/libquern-cuda.so ] || {
        echo "simulated GPU: not run, $NO_TOOLKIT"
        return $SKIP
    }
    without_spinning
    cudasim_checked & parts+=($!)
    if has_nvcc; then
        { with_nvcc cudasim_ptx && cudasim_ptx; } & parts+=($!)
    else
        echo "simulated GPU: what nvcc makes was not run, no nvcc here"
    fi
    for part in "${parts[@]}"; do
        wait "$part" || status=1
    done
    return $status
}

# What a GPU is asked on its first day, on the simulated one.
gate_first_day() {
    [ -f build/release/bin/cudasim/checked/libquern-cuda.so ] || {
        echo "first day: not run, $NO_TOOLKIT"
        return $SKIP
    }
    tests/cuda/first_day_check.sh
}

# Lines of the kernels that tests reach on the simulated GPU: rows of the operation table and what has no row.
gate_coverage() {
    local tests=build/release/bin/tests covered=build/release/bin/cudasim/covered objects
    [ -f build/release/bin/cudasim/checked/libquern-cuda.so ] || {
        echo "coverage: not counted, $NO_TOOLKIT"
        return $SKIP
    }
    objects=build/release/tests/cudasim/CMakeFiles/cudasim_covered_kernels.dir
    cmake --build build/release -j "$jobs" --target cudasim_covered || return 1
    find $objects -name '*.gcda' -delete
    without_spinning
    export QUERN_BACKEND_PATH=$PWD/$covered QUERN_TEST_DEVICE=cuda
    TEST_FILTER='ops/each_layout_*' run_tests coverage $tests/test_ops &&
        run_tests coverage \
            $tests/test_{optim,random,embedding,loss_scale,attention,sequence_ops,cuda_precision,sixteen_bits} &&
        tests/cuda/coverage.py --least 95 $objects
}

# ---- the library as it is delivered -----------------------------------------------------------------

gate_exports() { tests/exports.sh build/release/libquern.so && tests/option_fields.py; }
gate_packages() { tests/packages_check.sh; }
gate_headers() { tests/headers.sh; }
gate_operation() { tests/operation/operation_check.sh; }
gate_install() { tests/install/install_check.sh build/release; }
gate_inference() { tests/inference/inference_check.sh build/release; }

# What every x86-64 must be able to run holds no AVX instruction (their registers are ymm and zmm, their
# mnemonics start with v).
gate_baseline() {
    local object status=0
    for object in $(find build/release/CMakeFiles -name '*.o' | grep -vE 'quern_(amx_)?avx(2|512)\.dir'); do
        objdump -d --no-show-raw-insn "$object" > "$logs/object.txt" || return 1
        ! grep -m1 -E '%[yz]mm|\sv[a-z0-9]+\s.*%xmm' "$logs/object.txt" || {
            echo "$object holds AVX instructions"
            status=1
        }
    done
    return $status
}

# The AVX-512 kernels, here or, where the processor cannot (or with QUERN_EMULATE=1), on emulated ones.
gate_isa() {
    local program=build/release/bin/isa/isa_kernels status=0
    [ -x $program ] || {
        echo "AVX-512 kernels: not run, $program is not built here"
        return $SKIP
    }
    if [ -z "${QUERN_EMULATE:-}" ]; then
        $program
        status=$?
        [ $status -eq $SKIP ] || {
            echo "AVX-512 kernels: natively"
            return $status
        }
    fi
    emulated_isa $program
}

# emulated_isa PROGRAM: on two machines of one processor each, which share the rows.
emulated_isa() {
    local program=$1 status=0 first unreached
    tests/isa/bochs.sh 1200 "$program" brief 1 2 > "$logs/bochs-1.txt" 2>&1 &
    first=$!
    tests/isa/bochs.sh 1200 "$program" brief 2 2 > "$logs/bochs-2.txt" 2>&1 || status=$?
    wait $first || status=$?
    cat "$logs"/bochs-[12].txt
    [ $status -ne $SKIP ] || {
        echo "AVX-512 kernels: not run, $(tail -n 1 "$logs/bochs-1.txt")"
        return $SKIP
    }
    unreached=$(sed -n 's/^not reached: //p' "$logs"/bochs-[12].txt | sort | uniq -d)
    [ -z "$unreached" ] || {
        echo "kernels that no call reached:" "$unreached"
        status=1
    }
    echo "AVX-512 kernels: emulated (Bochs)"
    return $status
}

# A processor of 2008 runs the library: a search of the objects, above, cannot see what OpenBLAS does.
gate_oldest() {
    command -v qemu-x86_64 > /dev/null || {
        echo "no qemu-x86_64 here"
        return $SKIP
    }
    qemu-x86_64 -cpu Nehalem build/release/bin/tests/test_values --short-filename
}

# ---- running them -----------------------------------------------------------------------------------

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
else
    red='' green='' yellow='' plain=''
fi

# gate NAME WORDS: runs gate_NAME.
gate() {
    local name=$1 words=$2 start=$SECONDS status line
    [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $name "* ]] || return 0
    [ ! -t 1 ] || printf '  ....  %-10s %s\r' "$name" "$words"
    ("gate_$name") > "$logs/$name.log" 2>&1 < /dev/null
    status=$?
    case $status in
        0) passed=$((passed + 1)) line="${green}passed${plain}" ;;
        "$SKIP") skipped=$((skipped + 1)) line="${yellow}skipped${plain}" ;;
        *) failed=$((failed + 1)) line="${red}FAILED${plain}" ;;
    esac
    line=$(printf '%s  %-9s %4d s  %s' "$line" "$name" $((SECONDS - start)) "$words")
    summary+=("$line")
    printf '%s\n' "$line"
    case $status in
        0) ;;
        "$SKIP") tail -n 1 "$logs/$name.log" ;;
        *) grep -vE '^\[ *[0-9]+%\]|^-- |^Preset|^  [A-Z_]+=|^$' "$logs/$name.log" | tail -n 60 | sed 's/^/    /' ;;
    esac
}

only=("$@")
for name in "${only[@]}"; do
    declare -F "gate_$name" > /dev/null || {
        printf 'gates.sh: no gate "%s"\n' "$name" >&2
        exit 2
    }
done
rm -f "$logs"/*
gate format "layout of the sources (clang-format)"
gate spelling "spelling (codespell)"
gate shell "shell scripts (shellcheck)"
gate gcc "build with gcc, warnings are errors"
gate tests "all tests, optimised build"
gate cuda "the CUDA backend as nvcc makes it"
gate cudasim "the CUDA backend on the simulated GPU, each access checked"
gate first_day "./run gpu-check on the simulated GPU"
gate coverage "lines of the CUDA kernels that tests reach"
gate attacks "programs killed, on full disks, with damaged files, in other locales"
gate lessons "every lesson runs"
gate exports "exported symbols are those of the header, option structs grow at their end"
gate packages "./run build asks for what a build needs alone"
gate headers "each public header alone, in C and in C++, and for Python's cffi"
gate baseline "no AVX outside the SIMD kernels"
gate oldest "values on an emulated processor without AVX (qemu)"
gate isa "AVX-512 kernels"
gate operation "an operation is added to a copy of the tree by four touches"
gate install "use of the installed library: CMake and pkg-config, shared and static"
gate inference "the library that only runs models, and without optional libraries"
gate clang "build with clang, warnings are errors"
gate tidy "static analysis (clang-tidy)"
gate asan "all tests under the address, undefined-behaviour and leak sanitizers"
gate tsan "tests with threads under the thread sanitizer"
gate fuzz "readers against random input"

if [ -s "$logs/counts" ]; then
    read -r p f s < <(awk '{ p += $1; f += $2; s += $3 } END { print p, f, s }' "$logs/counts")
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
fi
printf '\n%d s; gates:\n' "$SECONDS"
printf '  %s\n' "${summary[@]}"
grep -hE '^(AMX|AVX-512|CUDA: |simulated GPU: |lines of CUDA)' "$logs"/{tests,isa,cuda,cudasim,coverage}.log 2> /dev/null
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
