#!/usr/bin/env bash
# gpu_pack.sh [FOLDER [ARCHITECTURES]]: makes a folder (runs/gpu-pack) of at most 60 MB that is copied to a machine with an
# NVIDIA driver: `FOLDER/first_day.sh` there does what `./run gpu-check` does here. In it are the plug-in for the
# architectures named (as CMake takes them; sm_75 to sm_100, and PTX), programs, tests, and the libraries of the system
# that they need. cuBLAS and cuDNN are too large: the machine's own are taken, a toolkit's or those that pip installs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:-runs/gpu-pack} architectures=${2:-75-real;80-real;86-real;89-real;90-real;100}
readonly MOST_BYTES=60000000
build=build/release

cmake --preset release -DQUERN_TESTS=ON "-DQUERN_CUDA_ARCHITECTURES=$architectures"
mapfile -t suites < <(sed 's/^/test_/' tests/cuda/suites.list)
cmake --build $build -j "$(nproc)" --target quern_cuda quern-bench mnist gpu_probe gpu_page "${suites[@]}"

payload=$(mktemp -d)
trap 'rm -rf "$payload"' EXIT
mkdir -p "$payload"/{bin,lib,tests}
cp $build/bin/{quern-bench,mnist,cuda/gpu_probe,cuda/gpu_page} "$payload/bin"
(cd $build/bin/tests && cp "${suites[@]}" "$payload/tests")
cp $build/libquern-cuda.so "$payload/lib"

# What they are linked with, but for the C library, which is the machine's, and NVIDIA's large ones.
find "$payload" -type f -print0 | xargs -0 ldd | sed -n 's/^\t\([^ ]*\) => \(\/[^ ]*\) .*/\1 \2/p' | sort -u |
    while read -r name path; do
        case "$name" in
            libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.*) ;;
            libcublas* | libcudnn* | libcuda.so.*) ;;
            *) cp -L "$path" "$payload/lib/$name" ;;
        esac
    done
find "$payload/bin" "$payload/tests" -type f -exec strip {} +

rm -rf "$out"
mkdir -p "$out/data"
tar -C "$payload" --owner=0 --group=0 -cf - bin lib tests | gzip -9 > "$out/payload.tar.gz"
cp examples/mnist/data/*-ubyte.gz "$out/data"
cp tests/cuda/{first_day.sh,suites.list,torch_steps.py} benchmarks/instances.tsv "$out"
bytes=$(du -sb "$out" | cut -f 1)
[ "$bytes" -le $MOST_BYTES ] || {
    printf 'gpu_pack.sh: %s has %d bytes, more than %d\n' "$out" "$bytes" $MOST_BYTES >&2
    exit 1
}
printf '%s: %d MB. Copy it to the machine, and run there: %s/first_day.sh\n' "$out" $((bytes / 1000000)) "$(basename "$out")"
