#!/usr/bin/env python3
"""Holds registers, shared memory and occupancy of all CUDA kernels against resources.tsv; none may spill registers.

    resources.py [--update] [KERNEL.cu ...]

A row of the table is a kernel of a file, with the most that an instance of it needs and the least occupancy. No kernel
may be missing, need more, or fall below LOW per cent of occupancy without a reason in low_occupancy.tsv.

fingerprints.tsv says what the table was measured of: nvcc's version and two hashes. While the version and the hash of
the file with all headers that it can include are the same, so are the figures, and nothing is compiled. Where that hash
differs nvcc makes the PTX of one architecture: if that is the same, so are the figures (no kernel asks for its
architecture). What differs still is compiled for all of them, by their own front ends, warnings being errors. --update
writes what came out into both tables. Results are kept in build/cuda-resources/, so that a run that was stopped goes on.
No GPU is needed.
"""
import argparse
import collections
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import occupancy

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = ROOT / "kernels" / "cuda"
INCLUDED = (KERNELS, ROOT / "core/include")
HERE = pathlib.Path(__file__).parent
TABLE, FINGERPRINTS, REASONS = (HERE / name for name in ("resources.tsv", "fingerprints.tsv", "low_occupancy.tsv"))
KEPT = ROOT / "build" / "cuda-resources"
ARCHITECTURES, FIRST = list(occupancy.LIMITS), 80
FLAGS = ["-std=c++17", "-ptx", "-Werror", "all-warnings,cross-execution-space-call"]
LOW = 50
BLOCK, BLOCKS = 256, {"attention_cuda.cu": 128}  # threads of a block where the kernel does not say

ENTRY = re.compile(r"Compiling entry function '([^']+)'")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
INTERNAL = re.compile(r"_GLOBAL__N__[0-9a-f]+_(\w+?)_[0-9a-f]{8}")  # names that hold hashes of paths
BOUND = re.compile(r"\.entry (\w+)\([^)]*\)\s*\.maxntid (\d+)")

State = collections.namedtuple("State", "nvcc sources ptx")
Need = collections.namedtuple("Need", "registers shared occupancy")  # each: architecture -> figure


# ---- compiling --------------------------------------------------------------------------------------

def find_nvcc():
    """nvcc of the path, or of the usual place."""
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    if not os.access(nvcc, os.X_OK):
        sys.exit("resources.py: no nvcc here")
    return nvcc


def version_of(nvcc):
    told = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"V([\d.]+)", told)[1]


def output_of(command):
    """What a compiler says; raises with its words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}:\n{done.stderr}")
    return done.stderr


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


def ptx_of(nvcc, source, architecture, path):
    includes = [word for folder in INCLUDED for word in ("-I", folder)]
    output_of([nvcc, *FLAGS, f"-arch=compute_{architecture}", *includes, source, "-o", path])
    return path.read_text(encoding="utf-8")


def compile_for(nvcc, source, architecture):
    """Mangled name -> (registers, shared, spilled, threads of a block)."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "kernel.ptx"
        bounds = {name: int(threads) for name, threads in BOUND.findall(ptx_of(nvcc, source, architecture, path))}
        told = output_of([pathlib.Path(nvcc).with_name("ptxas"), "-v", f"-arch=sm_{architecture}", path, "-o", os.devnull])
    threads = BLOCKS.get(source.name, BLOCK)
    return {name: (*used, bounds.get(name, threads)) for name, used in parse(told).items()}


def sources_of(source):
    """A file and all headers of ours that it can include."""
    found, wanted = [], [source]
    while wanted:
        path = wanted.pop()
        found.append(path)
        for name in re.findall(r'^#include "([^"]+)"', path.read_text(encoding="utf-8"), re.M):
            paths = [folder / name for folder in INCLUDED if (folder / name).exists()]
            wanted += [p for p in paths if p not in found and p not in wanted]
    return sorted(found)


def fingerprint(source, texts):
    """A hash of texts, and of what else a file's figures follow from."""
    settings = repr((FLAGS, ARCHITECTURES, BLOCKS.get(source.name, BLOCK))).encode()
    texts = [settings, pathlib.Path(occupancy.__file__).read_bytes(), *texts]
    return hashlib.sha256(b"".join(hashlib.sha256(text).digest() for text in texts)).hexdigest()[:16]


def hash_of_sources(source):
    return fingerprint(source, [path.read_bytes() for path in sources_of(source)])


def hash_of_ptx(nvcc, source):
    with tempfile.TemporaryDirectory() as folder:
        text = ptx_of(nvcc, source, FIRST, pathlib.Path(folder) / "kernel.ptx")
    return fingerprint(source, [INTERNAL.sub(r"\1", text).encode()])


def measure(nvcc, source, key):
    """architecture -> what compile_for() says; kept under the key as it comes."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{source.stem}.json"
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = held["found"] if held.get("key") == key else {}
    for architecture in ARCHITECTURES:
        if str(architecture) not in found:
            found[str(architecture)] = compile_for(nvcc, source, architecture)
            path.write_text(json.dumps({"key": key, "found": found}), encoding="utf-8")
    return {a: found[str(a)] for a in ARCHITECTURES}


def kernel_names(mangled):
    """Names of kernels without their parameters and instances."""
    done = subprocess.run(["c++filt", "-p"], input="\n".join(mangled), capture_output=True, text=True, check=True)
    return [re.sub(r"^.*?(\w+)(?:<.*)?$", r"\1", re.sub(r"\(anonymous namespace\)::", "", name).removeprefix("void "))
            for name in done.stdout.split("\n")[:len(mangled)]]


def needs_of(source, measured):
    """(file, kernel) -> Need, over all instances; spills, in words."""
    rows, faults = {}, []
    for architecture, found in measured.items():
        for name, (registers, shared, spilled, threads) in zip(kernel_names(found), found.values()):
            if spilled:
                faults.append(f"{source.name}, {name}, sm_{architecture}: spills {spilled} bytes")
            need = rows.setdefault((source.name, name), Need({}, {}, {}))
            held = occupancy.occupancy(architecture, threads, registers, shared)
            need.registers[architecture] = max(registers, need.registers.get(architecture, 0))
            need.shared[architecture] = max(shared, need.shared.get(architecture, 0))
            need.occupancy[architecture] = min(held, need.occupancy.get(architecture, 100))
    return rows, faults


# ---- the tables -------------------------------------------------------------------------------------

def read_rows(path):
    """Cells of a table's rows; none where there is no table."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    return [line.split("\t") for line in lines]


def write_rows(path, names, rows):
    path.write_text("".join("\t".join(cells) + "\n" for cells in [names, *rows]), encoding="utf-8")


def cell(figures):
    """The figure of most architectures, then those that differ: `32 sm_75:40`."""
    usual = collections.Counter(figures.values()).most_common(1)[0][0]
    return " ".join([str(usual), *(f"sm_{a}:{n}" for a, n in figures.items() if n != usual)])


def figures_of(text):
    usual, *others = text.split()
    differing = {int(a): int(n) for a, n in (word.removeprefix("sm_").split(":") for word in others)}
    return {a: differing.get(a, int(usual)) for a in ARCHITECTURES}


def read_table():
    return {(file, kernel): Need(*map(figures_of, cells)) for file, kernel, *cells in read_rows(TABLE)}


def write_tables(table, states):
    write_rows(TABLE, ("file", "kernel", *Need._fields), [(*key, *map(cell, need)) for key, need in sorted(table.items())])
    write_rows(FINGERPRINTS, ("file", *State._fields), [(file, *state) for file, state in sorted(states.items())])


# ---- comparing --------------------------------------------------------------------------------------

def growth(key, need, allowed):
    """What of a kernel is worse than the table has it, in words."""
    faults = []
    for a in ARCHITECTURES:
        now, then = ([figures[a] for figures in row] for row in (need, allowed))
        if now[0] > then[0] or now[1] > then[1] or now[2] < then[2]:
            faults.append(f"{', '.join(key)}, sm_{a}: {now[0]} registers, {now[1]} bytes of shared memory, {now[2]} % of "
                          f"occupancy; the table has {then[0]}, {then[1]} and {then[2]} %")
    return faults


def compared(rows, table, file):
    """What of a file's kernels is not as the table has it, in words."""
    faults = [f"{', '.join(key)}: not in resources.tsv (resources.py --update)" for key in rows if key not in table]
    faults += [f"{', '.join(key)}: in resources.tsv, but not in the file" for key in table
               if key[0] == file and key not in rows]
    return faults + [fault for key, need in rows.items() if key in table for fault in growth(key, need, table[key])]


def faults_of_occupancy(rows):
    """Kernels of low occupancy without a reason, and reasons without a kernel, in words."""
    low = {key: min(need.occupancy.values()) for key, need in rows.items() if min(need.occupancy.values()) < LOW}
    reasons = {(file, kernel) for file, kernel, _ in read_rows(REASONS)}
    return ([f"{', '.join(key)}: {held} % of occupancy and no reason in low_occupancy.tsv" for key, held in low.items()
             if key not in reasons] +
            [f"{', '.join(key)}: in low_occupancy.tsv, but not low" for key in reasons & rows.keys() if key not in low])


def faults_of_files(table, states):
    """Files that the tables have, but that are gone, in words."""
    names = {file for file, _ in table} | set(states) | {row[0] for row in read_rows(REASONS)}
    return [f"{name}: in the tables of tests/cuda, but not in kernels/cuda" for name in sorted(names)
            if not (KERNELS / name).exists()]


class Run:
    """The tables, and what is found as files are looked at."""

    def __init__(self, update):
        self.nvcc, self.update = find_nvcc(), update
        self.version = version_of(self.nvcc)
        self.table, self.states = read_table(), {file: State(*state) for file, *state in read_rows(FINGERPRINTS)}
        self.faults, self.compiled, self.same, self.other_nvcc = [], 0, 0, 0
        if update:
            self.forget(lambda file: not (KERNELS / file).exists())

    def forget(self, which):
        self.table = {key: need for key, need in self.table.items() if not which(key[0])}
        self.states = {file: state for file, state in self.states.items() if not which(file)}

    def look_at(self, source):
        """Compiles a file if what it is made of has changed, and compares it."""
        then, sources = self.states.get(source.name, State("", "", "")), hash_of_sources(source)
        if sources == then.sources and self.version == then.nvcc:
            return
        if sources == then.sources and not self.update:
            self.other_nvcc += 1
            return
        try:
            state = State(self.version, sources, hash_of_ptx(self.nvcc, source))
            if (state.nvcc, state.ptx) == (then.nvcc, then.ptx):
                self.same += 1
                self.states[source.name] = state
            else:
                self.compare(source, state)
        except RuntimeError as error:
            self.faults.append(str(error))

    def compare(self, source, state):
        """Compiles a file for all architectures and holds it against the table, or puts it there."""
        self.compiled += 1
        rows, spills = needs_of(source, measure(self.nvcc, source, [state.nvcc, state.ptx]))
        self.faults += spills
        if not self.update:
            self.faults += compared(rows, self.table, source.name)
            return
        self.forget(lambda file: file == source.name)
        self.table.update(rows)
        if not spills:  # else the next run is to find them again
            self.states[source.name] = state

    def end(self):
        """Says what was found; whether that was nothing."""
        if self.update:
            write_tables(self.table, self.states)
        self.faults += faults_of_files(self.table, self.states) + faults_of_occupancy(self.table)
        print("".join(fault + "\n" for fault in self.faults), end="")
        if self.other_nvcc:
            print(f"{self.other_nvcc} files not looked at: the figures are of another nvcc, here is {self.version}")
        if self.same + self.compiled and not self.update:
            print(f"{self.same} changed files with the same PTX, {self.compiled} with another: resources.py --update")
        print(f"{len(self.table)} kernels of {len(self.states)} files, {len(ARCHITECTURES)} architectures; "
              f"{self.compiled} files compiled, {len(self.faults)} faults")
        return not self.faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write both tables")
    parser.add_argument("sources", nargs="*", type=pathlib.Path, help="files instead of all")
    options = parser.parse_args()
    run = Run(options.update)
    for source in options.sources or sorted(KERNELS.glob("*.cu")):
        run.look_at(source.resolve())
    sys.exit(0 if run.end() else 1)


if __name__ == "__main__":
    main()
