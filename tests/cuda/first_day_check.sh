#!/usr/bin/env bash
# first_day_check.sh: that first_day.sh runs to its end on the simulated GPU, that what fails is seen, and that without a
# driver it says in a line why it cannot.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
status=0

wrong() {
    printf 'first_day_check.sh: %s\n' "$*"
    status=1
}

# value FILE EXPRESSION: of the JSON document, which Python calls d.
value() { python3 -c "import json, sys; d = json.load(open(sys.argv[1])); print($2)" "$1"; }

tests/cuda/first_day.sh --simulated --out "$out/whole" > "$out/whole.txt" 2>&1 || {
    wrong "the simulated run failed:"
    cat "$out/whole.txt"
}
json=$out/whole/first_day.json html=$out/whole/first_day.html
sections="len({l['section'] for l in d['lines']})"
[ "$(value "$json" "$sections")" = 11 ] || wrong "not all sections: $(value "$json" "$sections")"
[ "$(value "$json" "d['pass'] > 25, d['fail'], d['figure'] >= 8")" = "True 0 True" ] ||
    wrong "counts: $(value "$json" "d['pass'], d['fail'], d['figure']")"
[ "$(value "$json" "sum(l['verdict'] not in ('pass', 'fail', 'skipped', 'figure') for l in d['lines'])")" = 0 ] ||
    wrong "a line without a verdict"
[ "$(grep -c '<section><h2>' "$html")" = 11 ] || wrong "the page does not have all sections"
grep -q 'width=device-width' "$html" || wrong "the page is not for small screens"
grep -q 'prefers-color-scheme:dark' "$html" || wrong "the page is not for dark screens"
[ "$(grep -c '<table' "$html")" = "$(grep -c '<div class="scroll"><table' "$html")" ] ||
    wrong "a table could be wider than the page"

# cannot_begin NAME COMMAND...: it says so in one line, with its exit code.
cannot_begin() {
    local name=$1 said code=0
    shift
    said=$("$@" 2>&1) || code=$?
    if [ $code -ne 2 ] || [ "$(wc -l <<< "$said")" -ne 1 ]; then
        wrong "$name: exit code $code: $said"
    fi
}

# A launch that fails must be a line that fails, and the run must go on to its end.
CUDASIM_FAIL=cudaGraphLaunch:1:719 tests/cuda/first_day.sh --simulated --out "$out/broken" > "$out/broken.txt" 2>&1
[ $? -eq 1 ] || wrong "a failed launch did not make the run fail"
[ "$(value "$out/broken/first_day.json" "d['fail'] > 3, $sections")" = "True 11" ] ||
    wrong "with a failed launch: $(value "$out/broken/first_day.json" "d['fail'], $sections")"

# Without a driver, and with a plug-in that cannot be loaded.
nvidia-smi -L > /dev/null 2>&1 || cannot_begin "without a driver" tests/cuda/first_day.sh --out "$out/none"
mkdir "$out/plugin" && echo "no library" > "$out/plugin/libquern-cuda.so"
cannot_begin "with a broken plug-in" env QUERN_BACKEND_PATH="$out/plugin" \
    tests/cuda/first_day.sh --simulated --out "$out/none"
exit $status
