#!/usr/bin/env bash
# compare_answers.sh: NVIDIA's libraries and the stand-ins must answer alike.
#   compare_answers.sh PROGRAM STAND_INS    library_answers, and the folder of the stand-ins
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: $0 PROGRAM STAND_INS" >&2 && exit 2; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$1" > "$out/theirs"
LD_LIBRARY_PATH=$2${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$1" > "$out/ours"
lines=$(wc -l < "$out/theirs")
[ "$lines" -gt 800 ] || { echo "only $lines answers" >&2 && exit 1; }
diff "$out/theirs" "$out/ours" || { echo "The stand-ins differ from the libraries (<)." >&2 && exit 1; }
echo "$lines answers alike"
