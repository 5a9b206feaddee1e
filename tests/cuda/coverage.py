#!/usr/bin/env python3
"""Lists the lines of the CUDA kernels that no test reached, and fails when too many were not.

    coverage.py [--least PERCENT] OBJECTS

OBJECTS is the folder of the kernels' object files in the build of target cudasim_covered, where programs that ran on
that plug-in have left their counts (.gcda); gcov reads them. A line of a header counts once: it was reached if it was in
any kernel.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

KERNELS = pathlib.Path(__file__).resolve().parents[2] / "kernels" / "cuda"


def counts_of(objects):
    """How often each line ran: file name -> line -> count, of the files in KERNELS."""
    data = sorted(objects.resolve().rglob("*.gcda"))
    if not data:
        sys.exit(f"coverage.py: no .gcda in {objects}: no test ran on the plug-in in cudasim/covered")
    counts = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as scratch:
        command = ["gcov", "--json-format", "--stdout", *map(str, data)]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"coverage.py: gcov failed:\n{done.stderr}")
    for document in filter(None, done.stdout.splitlines()):
        for file in json.loads(document)["files"]:
            path = pathlib.Path(file["file"])
            if path.parent == KERNELS:
                for line in file["lines"]:
                    counts[path.name][line["line_number"]] += line["count"]
    return counts


def in_words(lines):
    """Numbers of lines, those in a row as 4-7."""
    spans = []
    for line in sorted(lines):
        if spans and spans[-1][1] == line - 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("objects", type=pathlib.Path)
    parser.add_argument("--least", type=float, default=0, metavar="PERCENT")
    options = parser.parse_args()
    counts = counts_of(options.objects)
    absent = {path.name for path in KERNELS.glob("*.cu")} - counts.keys()
    if absent:
        sys.exit(f"coverage.py: no counts of {', '.join(sorted(absent))}")
    for name, lines in sorted(counts.items()):
        missed = [line for line, count in lines.items() if count == 0]
        if missed:
            print(f"{name}: {len(missed)} of {len(lines)} lines not reached: {in_words(missed)}")
    total = sum(map(len, counts.values()))
    reached = sum(count > 0 for lines in counts.values() for count in lines.values())
    percent = 100 * reached / total
    print(f"lines of CUDA kernels reached: {reached} of {total}, {percent:.1f} %")
    if percent < options.least:
        sys.exit(f"coverage.py: expected {options.least:g} % at least")


if __name__ == "__main__":
    main()
