#!/usr/bin/env python3
"""Holds registers, shared memory and occupancy of all CUDA kernels against resources.tsv; none may spill registers.

    resources.py [--update] [--arch 80,90] [KERNEL.cu ...]
    resources.py --warnings [--arch 80,90] [KERNEL.cu ...]

nvcc makes the PTX, warnings being errors, and ptxas machine code for each architecture. A row of the table is a kernel
of a file, with the most that an instance of it needs and the least occupancy. No kernel may be missing, need more, or
fall below LOW per cent of occupancy without a reason in low_occupancy.tsv; --update writes the table anew.

PTX is made once a family of architectures: the front ends of one give the same but for the name of the target.
--warnings runs them all, and says so where that is not the case. What was compiled is kept in build/cuda-resources/ and
not compiled again while neither the file, a header nor nvcc changes. No GPU is needed.
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
import tempfile

from occupancy import LIMITS, occupancy

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = ROOT / "kernels" / "cuda"
TABLE = pathlib.Path(__file__).with_name("resources.tsv")
REASONS = pathlib.Path(__file__).with_name("low_occupancy.tsv")
KEPT = ROOT / "build" / "cuda-resources"
FAMILY = {75: 75, 80: 75, 86: 75, 89: 75, 90: 75, 100: 100, 120: 100}  # architecture -> whose PTX
COLUMNS = ("architecture", "registers", "shared", "occupancy", "file", "kernel")
LOW = 50
BLOCK, BLOCKS = 256, {"attention_cuda.cu": 128}  # threads of a block where the kernel does not say

ENTRY = re.compile(r"Compiling entry function '([^']+)'")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
BOUND = re.compile(r"\.entry (\w+)\([^)]*\)\s*\.maxntid (\d+)")


def find_nvcc():
    """nvcc of the path, or of the usual place."""
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    if not os.access(nvcc, os.X_OK):
        sys.exit("resources.py: no nvcc here")
    return nvcc


def parse(text):
    """Mangled name -> (registers, shared bytes, spilled bytes) from what ptxas -v says."""
    found, current, spilled = {}, None, 0
    for line in text.splitlines():
        if ENTRY.search(line):
            current, spilled = ENTRY.search(line)[1], 0
        if SPILLS.search(line):
            spilled = sum(map(int, SPILLS.search(line).groups()))
        if USED.search(line) and current:
            shared = SHARED.search(line)
            found[current] = (int(USED.search(line)[1]), int(shared[1]) if shared else 0, spilled)
            current = None
    return found


def output_of(command):
    """What a compiler says; raises with its words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}:\n{done.stderr}")
    return done.stderr


def ptx_of(nvcc, source, architecture, path):
    """Makes a file's PTX, warnings being errors."""
    output_of([nvcc, "-std=c++17", "-ptx", f"-arch=compute_{architecture}", "-Werror",
               "all-warnings,cross-execution-space-call", "-I", str(ROOT / "core"), "-I", str(KERNELS), str(source),
               "-o", str(path)])
    return path.read_text(encoding="utf-8")


class Kept:
    """Results of earlier runs of one file."""

    def __init__(self, source, salt):
        self.path = KEPT / f"{source.stem}.json"
        self.key = hashlib.sha256(salt.encode() + source.read_bytes()).hexdigest()
        held = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        self.found = held.get("found", {}) if held.get("key") == self.key else {}

    def store(self):
        self.path.write_text(json.dumps({"key": self.key, "found": self.found}), encoding="utf-8")


def measure_file(nvcc, source, architectures, salt):
    """architecture -> mangled name -> (registers, shared, spilled, threads of a block)."""
    kept = Kept(source, salt)
    missing = [a for a in architectures if str(a) not in kept.found]
    with tempfile.TemporaryDirectory() as folder:
        for family in sorted({FAMILY[a] for a in missing}):
            path = pathlib.Path(folder) / f"{family}.ptx"
            text = ptx_of(nvcc, source, family, path)
            bounds = {name: int(threads) for name, threads in BOUND.findall(text)}
            for architecture in (a for a in missing if FAMILY[a] == family):
                told = output_of([pathlib.Path(nvcc).with_name("ptxas"), "-v", f"-arch=sm_{architecture}", path, "-o",
                                  os.devnull])
                kept.found[str(architecture)] = {
                    name: (*used, bounds.get(name, BLOCKS.get(source.name, BLOCK)))
                    for name, used in parse(told).items()}
    kept.store()
    return {a: kept.found[str(a)] for a in architectures}


def kernel_names(mangled):
    """Names of kernels without their parameters and instances."""
    done = subprocess.run(["c++filt", "-p"], input="\n".join(mangled), capture_output=True, text=True, check=True)
    return [re.sub(r"^.*?(\w+)(?:<.*)?$", r"\1", re.sub(r"\(anonymous namespace\)::", "", name).removeprefix("void "))
            for name in done.stdout.split("\n")[:len(mangled)]]


def salt_of(nvcc):
    """What results depend on beside the file."""
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    headers = sorted([*KERNELS.glob("*.h"), *(ROOT / "core").glob("quern*.h")])
    return version + "".join(hashlib.sha256(h.read_bytes()).hexdigest() for h in headers)


def each_file(sources, work):
    """work(source) for all, two at a time: source -> result, and what failed."""
    results, failed = {}, []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {s: pool.submit(work, s) for s in sources}
    for source, run in runs.items():
        try:
            results[source] = run.result()
        except RuntimeError as error:
            failed.append(str(error))
    return results, failed


def measure(nvcc, sources, architectures):
    """(file, kernel, architecture) -> most registers, most shared bytes, least occupancy; and faults."""
    KEPT.mkdir(parents=True, exist_ok=True)
    salt = salt_of(nvcc)
    results, faults = each_file(sources, lambda s: measure_file(nvcc, s, architectures, salt))
    rows = {}
    for source, by_architecture in results.items():
        for architecture, found in by_architecture.items():
            for name, (registers, shared, spilled, threads) in zip(kernel_names(found), found.values()):
                key = (source.name, name, architecture)
                if spilled:
                    faults.append(f"{source.name}, {name}, sm_{architecture}: spills {spilled} bytes")
                held = occupancy(architecture, threads, registers, shared)
                old = rows.get(key, (0, 0, 100))
                rows[key] = (max(old[0], registers), max(old[1], shared), min(old[2], held))
    return rows, faults


def read_table():
    """(file, kernel, architecture) -> (registers, shared, occupancy) as checked in."""
    budget = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines()[1:] if TABLE.exists() else []:
        architecture, registers, shared, held, file, kernel = line.split("\t")
        budget[(file, kernel, int(architecture))] = (int(registers), int(shared), int(held))
    return budget


def write_table(budget):
    lines = ["\t".join(COLUMNS)]
    for (file, kernel, architecture), row in sorted(budget.items()):
        lines.append("\t".join(map(str, (architecture, *row, file, kernel))))
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def low_kernels():
    """(file, kernel) that may have a low occupancy."""
    lines = REASONS.read_text(encoding="utf-8").splitlines()[1:]
    return {tuple(line.split("\t")[:2]) for line in lines}


def faults_of(rows, budget):
    """What is wrong, in words."""
    faults, low = [], low_kernels()
    for (file, kernel, architecture), (registers, shared, held) in sorted(rows.items()):
        name = f"{file}, {kernel}, sm_{architecture}"
        allowed = budget.get((file, kernel, architecture))
        if not allowed:
            faults.append(f"{name}: not in resources.tsv (resources.py --update)")
        elif registers > allowed[0] or shared > allowed[1] or held < allowed[2]:
            faults.append(f"{name}: {registers} registers, {shared} bytes of shared memory, {held} % of occupancy; the "
                          f"table has {allowed[0]}, {allowed[1]} and {allowed[2]} %")
        if held < LOW and (file, kernel) not in low:
            faults.append(f"{name}: {held} % of occupancy and no reason in low_occupancy.tsv")
    return faults


def without_target(ptx):
    return re.sub(r"^\.target .*$", "", ptx, flags=re.M)


def warnings_of(nvcc, source, architectures):
    """Runs every front end on a file; the architectures whose PTX is not their family's."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "out.ptx"
        texts = {a: without_target(ptx_of(nvcc, source, a, path)) for a in {*architectures, *map(FAMILY.get, architectures)}}
    return [f"{source.name}: the PTX of compute_{a} is not that of compute_{FAMILY[a]}" for a in architectures
            if texts[a] != texts[FAMILY[a]]]


def updated(budget, rows, sources, architectures):
    """The table with what was measured in place of what it had of these files, and without files that are gone."""
    files, there = {s.name for s in sources}, {s.name for s in KERNELS.glob("*.cu")}
    kept = {k: v for k, v in budget.items() if k[0] in there and not (k[0] in files and k[2] in architectures)}
    return {**kept, **rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write resources.tsv")
    parser.add_argument("--warnings", action="store_true", help="every architecture's front end, and nothing else")
    parser.add_argument("--arch", help="architectures instead of all, as 80,90")
    parser.add_argument("sources", nargs="*", type=pathlib.Path, help="files instead of all")
    options = parser.parse_args()
    nvcc = find_nvcc()
    architectures = [int(a) for a in options.arch.split(",")] if options.arch else list(LIMITS)
    if not set(architectures) <= set(LIMITS):
        sys.exit(f"resources.py: the architectures are {list(LIMITS)}")
    sources = options.sources or sorted(KERNELS.glob("*.cu"))
    if options.warnings:
        results, faults = each_file(sources, lambda s: warnings_of(nvcc, s, architectures))
        faults += [fault for found in results.values() for fault in found]
        rows = results
    else:
        rows, faults = measure(nvcc, sources, architectures)
        budget = updated(read_table(), rows, sources, architectures) if options.update else read_table()
        if options.update:
            write_table(budget)
        faults += faults_of(rows, budget)
    print("\n".join(faults + [f"{len(sources)} files, {len(architectures)} architectures, {len(faults)} faults"]))
    sys.exit(1 if faults or not rows else 0)


if __name__ == "__main__":
    main()
