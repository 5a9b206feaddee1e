#!/usr/bin/env python3
"""Compiles all CUDA kernels with warnings as errors, and holds registers and shared memory against resources.tsv.

    resources.py [--update] [--arch 80,90] [KERNEL.cu ...]

For each architecture that nvcc knows and the backend is meant for. No kernel may spill registers, be missing from
the table, or need more than it says there; with --update the table is written anew. No GPU is needed. What was
compiled is kept in build/cuda-resources/ and not compiled again while neither the file, a header nor nvcc changes.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = ROOT / "kernels" / "cuda"
TABLE = pathlib.Path(__file__).with_name("resources.tsv")
KEPT = ROOT / "build" / "cuda-resources"
ARCHITECTURES = (70, 75, 80, 86, 89, 90, 100, 120)
COLUMNS = ("architecture", "registers", "shared", "file", "kernel")

ENTRY = re.compile(r"Compiling entry function '([^']+)' for 'sm_(\d+)a?'")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")


def find_nvcc():
    """nvcc of the path, or of the usual place."""
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    if not os.access(nvcc, os.X_OK):
        sys.exit("resources.py: no nvcc here")
    return nvcc


def known_architectures(nvcc):
    """Those of ARCHITECTURES that this nvcc can compile for."""
    known = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout.split()
    return [a for a in ARCHITECTURES if f"compute_{a}" in known]


def parse(text):
    """(architecture, mangled name) -> (registers, shared bytes, spilled bytes) from what ptxas -v says."""
    found, current, spilled = {}, None, 0
    for line in text.splitlines():
        entry = ENTRY.search(line)
        if entry:
            current, spilled = (int(entry.group(2)), entry.group(1)), 0
        spills = SPILLS.search(line)
        if spills:
            spilled = int(spills.group(1)) + int(spills.group(2))
        used = USED.search(line)
        if used and current:
            shared = SHARED.search(line)
            found[current] = (int(used.group(1)), int(shared.group(1)) if shared else 0, spilled)
            current = None
    return found


def compile_kernels(nvcc, source, architectures, salt):
    """What ptxas says of a file; a failed compilation raises with the compiler's words."""
    key = hashlib.sha256(f"{salt}{architectures}".encode() + source.read_bytes()).hexdigest()
    kept = KEPT / f"{source.stem}.json"
    if kept.exists():
        held = json.loads(kept.read_text(encoding="utf-8"))
        if held["key"] == key:
            return held["text"]
    targets = []
    for a in architectures:
        targets += ["-gencode", f"arch=compute_{a},code=sm_{a}"]
    command = [nvcc, "-std=c++17", "-fatbin", *targets, "-Werror", "all-warnings,cross-execution-space-call",
               "-Xptxas", "-v", "-I", str(ROOT / "core"), "-I", str(KERNELS), str(source), "-o", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{source.name} does not compile:\n{done.stderr}")
    kept.write_text(json.dumps({"key": key, "text": done.stderr}), encoding="utf-8")
    return done.stderr


def demangle(names):
    """Plain names; the number that nvcc gives to an unnamed namespace goes, since it changes with the path."""
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:len(names)]


def measure(nvcc, sources, architectures):
    """(architecture, file, kernel) -> (registers, shared, spilled) of all sources, and the failed compilations."""
    KEPT.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    headers = sorted([*KERNELS.glob("*.h"), *(ROOT / "core").glob("quern*.h")])
    salt = version + "".join(hashlib.sha256(h.read_bytes()).hexdigest() for h in headers)
    rows, failed = {}, []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {s: pool.submit(compile_kernels, nvcc, s, architectures, salt) for s in sources}
    for source, run in runs.items():
        try:
            found = parse(run.result())
        except RuntimeError as error:
            failed.append(str(error))
            continue
        names = demangle([name for _, name in found])
        for ((architecture, _), used), name in zip(found.items(), names):
            rows[(architecture, source.name, name)] = used
    return rows, failed


def read_table():
    """(architecture, file, kernel) -> (registers, shared) as checked in."""
    budget = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines()[1:] if TABLE.exists() else []:
        architecture, registers, shared, file, kernel = line.split("\t")
        budget[(int(architecture), file, kernel)] = (int(registers), int(shared))
    return budget


def write_table(budget):
    lines = ["\t".join(COLUMNS)]
    for (architecture, file, kernel), (registers, shared) in sorted(budget.items(), key=lambda r: (r[0][1:], r[0][0])):
        lines.append(f"{architecture}\t{registers}\t{shared}\t{file}\t{kernel}")
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def faults_of(rows, budget):
    """What is wrong, in words."""
    faults = []
    for key, (registers, shared, spilled) in sorted(rows.items()):
        name = f"{key[1]}, sm_{key[0]}, {key[2]}"
        if spilled:
            faults.append(f"{name}: spills {spilled} bytes")
        if key not in budget:
            faults.append(f"{name}: not in resources.tsv (resources.py --update)")
        elif registers > budget[key][0] or shared > budget[key][1]:
            faults.append(f"{name}: {registers} registers, {shared} bytes of shared memory; the table has "
                          f"{budget[key][0]} and {budget[key][1]}")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write resources.tsv")
    parser.add_argument("--arch", help="architectures instead of all, as 80,90")
    parser.add_argument("sources", nargs="*", type=pathlib.Path, help="files instead of all")
    options = parser.parse_args()
    nvcc = find_nvcc()
    known = known_architectures(nvcc)
    architectures = [int(a) for a in options.arch.split(",")] if options.arch else known
    if not set(architectures) <= set(known):
        sys.exit(f"resources.py: this nvcc compiles for {known}")
    sources = options.sources or sorted(KERNELS.glob("*.cu"))
    if not sources:
        sys.exit("resources.py: no kernels found")
    rows, failed = measure(nvcc, sources, architectures)
    budget = read_table()
    if options.update:
        files = {s.name for s in sources}
        there = {s.name for s in KERNELS.glob("*.cu")}
        # Rows that this run measured anew go; so do those of files that are gone.
        budget = {k: v for k, v in budget.items()
                  if k[1] in there and not (k[1] in files and k[0] in architectures)}
        budget.update({k: used[:2] for k, used in rows.items()})
        write_table(budget)
    faults = failed + faults_of(rows, budget)
    print("\n".join(faults + [f"{len(sources)} files, {len(rows)} kernels and architectures, {len(faults)} faults"]))
    sys.exit(1 if faults or not rows else 0)


if __name__ == "__main__":
    main()
