#!/usr/bin/env bash
# first_day.sh [--simulated] [--out FOLDER]: what a GPU makes of the CUDA backend, in under ten minutes: FOLDER gets
# first_day.json, first_day.html and the output of what was run (runs/gpu). Works in the tree, after a build, and in a
# folder made by gpu_pack.sh, where bash and the driver's libraries must be there and nothing else.
#
# --simulated runs short forms of all of it on the simulated GPU. Exit code: 0 all passed, 1 something failed, 2 it
# could not begin, for a reason that it says in a line.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
simulated='' out=$PWD/runs/gpu

cannot() {
    printf 'first_day.sh: %s\n' "$*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case "$1" in
        --simulated) simulated=yes ;;
        --out)
            [ $# -gt 1 ] || cannot "--out: expected a folder"
            out=$2
            shift
            ;;
        *) cannot "'$1': expected --simulated or --out FOLDER" ;;
    esac
    shift
done

# ---- where things are ---------------------------------------------------------------------------------------------

if [ -f "$here/payload.tar.gz" ]; then # a pack
    [ -d "$here/tests" ] || tar -xzf "$here/payload.tar.gz" -C "$here" || cannot "payload.tar.gz could not be unpacked"
    bin=$here/bin probes=$here/bin tests=$here/tests data=$here/data plugin=$here/lib prices=$here/instances.tsv
    export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
else
    tree=$(cd "$here/../.." && pwd)
    bin=$tree/build/release/bin probes=$bin/cuda tests=$bin/tests data=$tree/examples/mnist/data
    plugin=$tree/build/release prices=$tree/benchmarks/instances.tsv
fi
[ -z "$simulated" ] || plugin=${QUERN_BACKEND_PATH:-$bin/cudasim/checked}
[ -x "$probes/gpu_page" ] || cannot "$probes/gpu_page is not there: run ./run build, with libcriterion-dev installed"
[ -f "$plugin/libquern-cuda.so" ] || cannot "no libquern-cuda.so in $plugin: build target quern_cuda, with nvcc and cuDNN"
export QUERN_BACKEND_PATH=$plugin OPENBLAS_NUM_THREADS=1

# Folders in which NVIDIA's libraries may lie besides those that the loader knows: the toolkit's and pip's.
find_libraries() {
    local folder
    for folder in /usr/local/cuda*/lib64 /opt/cuda/lib64 \
        {/usr,/usr/local,/opt/*,"$HOME"/.local,"${VIRTUAL_ENV:-/nowhere}"}/lib/python3*/{site,dist}-packages/nvidia/{*,*/*}/lib; do
        [ -d "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
    done
    export LD_LIBRARY_PATH
}
[ -n "$simulated" ] || find_libraries

mkdir -p "$out" || cannot "$out: no folder can be made there"
out=$(cd "$out" && pwd)
lines=$out/lines.tsv
: > "$lines"

# ---- lines ----------------------------------------------------------------------------------------------------------

section='' failed=0
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

begin() {
    section=$1
    printf '%s%s%s\n' "$bold" "$section" "$plain"
}

# line NAME VERDICT FIGURE WORDS
line() {
    local words=${4//[$'\t\n\r']/ }
    [ "$2" != fail ] || failed=$((failed + 1))
    printf '%s\t%s\t%s\t%s\t%s\n' "$section" "$1" "$2" "$3" "$words" >> "$lines"
    printf '  %-7s  %s%s\n' "$2" "$1" "${3:+: $3}"
    [ "$2" != fail ] || printf '           %s\n' "$words"
}

# last LOG: the line of an output that says most: its last one with words in it.
last() { grep -v '^ *$' "$1" | tail -n 1 | cut -c 1-300; }

# Most seconds of a command, and of all: what comes after the end of the time is skipped.
readonly LIMIT=${FIRST_DAY_SECONDS:-570}
time_left() { echo $((LIMIT - SECONDS)); }

# limited SECONDS COMMAND...: runs a command for so long at most.
limited() {
    local most=$1
    shift
    [ "$most" -lt "$(time_left)" ] || most=$(time_left)
    [ "$most" -gt 0 ] || return 124
    timeout -k 5 "$most" "$@"
}

# answers NAME SECONDS COMMAND...: a command that prints lines itself; one more if it ended badly.
answers() {
    local name=$1 most=$2 log=$out/${1//[^a-z0-9]/-}.txt status=0 one verdict figure words
    shift 2
    limited "$most" "$@" > "$log" 2> "$log.err" < /dev/null || status=$?
    while IFS= read -r one; do
        one=${one//$'\t'/$'\x1f'} # read would take two tabs as one
        IFS=$'\x1f' read -r one verdict figure words <<< "$one"
        line "$one" "$verdict" "$figure" "$words"
    done < "$log"
    case $status in
        0 | 1) [ -s "$log" ] || line "$name" fail "" "$(last "$log.err")" ;;
        124) line "$name" skipped "" "stopped: its time had ended" ;;
        *) line "$name" fail "" "ended with status $status: $(last "$log.err")" ;;
    esac
}

# ---- before all: is there a GPU? ---------------------------------------------------------------------------------------

[ -z "$simulated" ] || export CUDASIM_MEMORY=${CUDASIM_MEMORY:-268435456}
if ! "$probes/gpu_probe" open cuda:0 > "$out/open.txt" 2>&1; then
    cannot "$(last "$out/open.txt")"
fi

# ---- machine and libraries ----------------------------------------------------------------------------------------------

begin "Machine and libraries"
line processor figure "$(nproc) cores" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
line system figure "" "$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), Linux $(uname -r)"
line device figure "" "$(last "$out/open.txt")"
if [ -z "$simulated" ]; then
    driver=$(nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv,noheader 2>&1 | head -n 8)
    line driver figure "" "$driver"
fi
for library in libcudart.so libcublasLt.so libcudnn.so; do
    path=$(ldd "$plugin/libquern-cuda.so" | sed -n "s|^\t${library}[^ ]* => \([^ ]*\) .*|\1|p")
    if [ -n "$simulated" ]; then
        line "$library" skipped "" "the simulated GPU stands in for it"
    else
        line "$library" "$([ -e "$path" ] && echo pass || echo fail)" "" "$path"
    fi
done

# ---- the first step --------------------------------------------------------------------------------------------------

begin "First step"
answers "first steps" 90 "$probes/gpu_probe" steps cuda:0

# ---- errors ----------------------------------------------------------------------------------------------------------

# one_line NAME PATTERN COMMAND...: the command fails, and says why in one line that fits the pattern.
one_line() {
    local name=$1 pattern=$2 said status=0
    shift 2
    said=$(limited 30 "$@" 2>&1 < /dev/null) || status=$?
    if [ $status -ne 0 ] && [ $status -lt 124 ] && [ "$(wc -l <<< "$said")" -eq 1 ] && [[ $said =~ $pattern ]]; then
        line "$name" pass "" "$said"
    else
        line "$name" fail "" "status $status: $said"
    fi
}

begin "Errors in one line"
one_line "a device that is not there" 'cuda:63' "$bin/mnist" train --device cuda:63
one_line "no devices" 'device|driver' env CUDA_VISIBLE_DEVICES= CUDASIM_DEVICES=0 "$bin/mnist" train --device cuda
one_line "no plug-in" 'libquern-[a-z]*\.so' env QUERN_BACKEND_PATH= "$bin/mnist" train --device nonesuch

# ---- the operation table and the suites -----------------------------------------------------------------------------------

# suite NAME [ARGUMENTS]: a test program.
suite() {
    local name=$1 log=$out/test_$1.txt status=0 start=$SECONDS said
    shift
    [ -x "$tests/test_$name" ] || {
        line "$name" skipped "" "$tests/test_$name is not there"
        return
    }
    QUERN_TEST_DEVICE=cuda limited 120 "$tests/test_$name" --short-filename "$@" > "$log" 2>&1 < /dev/null || status=$?
    said=$(sed -n 's/.*Synthesis: //p' "$log" | sed 's/\x1b\[[0-9;]*m//g' | tail -n 1)
    if [ $status -eq 124 ]; then
        line "$name" skipped "" "stopped: its time had ended"
    elif [ $status -eq 0 ] && [[ $said == *"Tested: "[1-9]*"Failing: 0"* ]] && ! grep -q 'Assertion Failed' "$log"; then
        line "$name" pass "$((SECONDS - start)) s" "$said"
    else
        line "$name" fail "$((SECONDS - start)) s" "${said:-no summary}: $(grep -m 1 -E 'Assertion Failed|Unexpected' "$log")"
    fi
}

begin "Operation table and suites"
if [ -n "$simulated" ]; then
    QUERN_TEST_ROWS=softmax,matmul,conv2d suite ops --filter 'ops/each_layout_*'
    suite tidy
else
    while read -r name; do suite "$name"; done < "$here/suites.list"
fi

# ---- compute-sanitizer -----------------------------------------------------------------------------------------------

begin "compute-sanitizer"
sanitizer=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer)
for tool in memcheck racecheck initcheck synccheck; do
    if [ -n "$simulated" ]; then
        line "$tool" skipped "" "the simulated GPU checks each access itself"
    elif [ -z "$sanitizer" ]; then
        line "$tool" skipped "" "not there: it is part of the CUDA Toolkit"
    elif limited 45 "$sanitizer" --tool "$tool" --error-exitcode 9 "$probes/gpu_probe" steps cuda:0 \
        > "$out/$tool.txt" 2>&1; then
        line "$tool" pass "" "$(last "$out/$tool.txt")"
    elif [ $? -eq 124 ]; then
        line "$tool" skipped "" "stopped: its time had ended"
    else
        line "$tool" fail "" "$(last "$out/$tool.txt")"
    fi
done

# ---- graphs, memory, life after a fault ----------------------------------------------------------------------------------

begin "Graphs"
answers graphs 90 "$probes/gpu_probe" graphs cuda:0
begin "Memory"
answers "memory given back" 60 "$probes/gpu_probe" memory cuda:0
answers "a full device" 60 env ${simulated:+CUDASIM_MEMORY=67108864} "$probes/gpu_probe" full cuda:0
answers "an illegal access" 60 "$probes/gpu_probe" illegal cuda:0

# ---- speed -----------------------------------------------------------------------------------------------------------

# The first images of the set, unpacked, with as many in the header.
few_images() {
    local part name size head
    mkdir -p "$1"
    for part in train t10k; do
        for name in images-idx3:784:'\0\0\x08\x03\0\0\0\x40\0\0\0\x1c\0\0\0\x1c' labels-idx1:1:'\0\0\x08\x01\0\0\0\x40'; do
            IFS=: read -r name size head <<< "$name"
            {
                printf '%b' "$head"
                gzip -dc "$data/$part-$name-ubyte.gz" 2> /dev/null | tail -c "+$((size == 1 ? 9 : 17))" | head -c $((64 * size))
            } > "$1/$part-$name-ubyte"
        done
    done
}

# bench NAME ARGUMENTS: figures of quern-bench.
bench() {
    local name=$1
    shift
    if limited 90 "$bin/quern-bench" "$@" --data "$data" --json "$out/$name.json" > "$out/$name.txt" 2>&1 < /dev/null; then
        answers "$name figures" 10 "$probes/gpu_page" figures "$out/$name.json"
    else
        line "$name" "$([ "$(time_left)" -gt 0 ] && echo fail || echo skipped)" "" "$(last "$out/$name.txt")"
    fi
}

train=(train --model "mlp,lenet,cnn" --threads 1 --seconds 0.3 --windows 5) compare=(--epochs 3 --model lenet)
if [ -n "$simulated" ]; then
    # `train` measures a product of 1024^3 as well, which takes minutes there and means nothing.
    few_images "$out/images"
    data=$out/images compare=(--epochs 1 --model mlp --batch-size 32 --target-accuracy 0)
    train=(compare --instances "$prices" "${compare[@]}")
fi
for precision in f32 tf32 bf16; do
    begin "Training in $precision"
    bench "train-$precision" "${train[@]}" --devices cuda:0 --precision "$precision"
    if [ -n "$simulated" ]; then
        line PyTorch skipped "" "the GPU is simulated"
    elif python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2> /dev/null; then
        answers "PyTorch in $precision" 60 python3 "$here/torch_steps.py" "$precision"
    else
        line PyTorch skipped "" "no python3 here with a torch that sees the GPU"
    fi
done
begin "The same training on both devices"
bench compare compare --devices cpu,cuda:0 --instances "$prices" "${compare[@]}"

# ---- the pages -------------------------------------------------------------------------------------------------------

"$probes/gpu_page" write "$lines" "First day on a GPU${simulated:+, simulated}" \
    "$out/first_day.json" "$out/first_day.html"
status=$?
printf '%s failed, %d s; %s\n' "$failed" "$SECONDS" "$out/first_day.html"
exit $status
