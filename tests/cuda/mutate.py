#!/usr/bin/env python3
"""Changes the CUDA kernels, one fault at a time, and says whether the tests notice.

    mutate.py [--most 20] [--seed 1] [--file softmax_cuda.cu] [--build build/release]

A mutant is built for the simulated GPU with its checker and runs the rows of the operation table that its kernel
serves (target cudasim_checked and test_ops must be built). Killed: a test failed, the checker reported, or the run
did not end. Survivors that compute the same as the original stand in survivors.tsv with the reason; any other
survivor makes the exit status 1.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = ROOT / "kernels" / "cuda"
SURVIVORS = pathlib.Path(__file__).with_name("survivors.tsv")
SECONDS = 300  # of one mutant's tests; more is a hang

# Name, what is looked for, what takes its place.
MUTATIONS = [(name, re.compile(pattern), replacement) for name, pattern, replacement in (
    ("barrier dropped", r"__syncthreads\(\);", ";"),
    ("warp barrier dropped", r"__syncwarp\([^)]*\);", ";"),
    ("< to <=", r" < ", " <= "),
    ("<= to <", r" <= ", " < "),
    ("> to >=", r" > ", " >= "),
    (">= to >", r" >= ", " > "),
    ("== to !=", r" == ", " != "),
    ("&& to ||", r" && ", " || "),
    ("+ to -", r" \+ ", " - "),
    ("- to +", r" - ", " + "),
    ("+= to -=", r" \+= ", " -= "),
    ("factor dropped", r" \* [\w.]+(?=[;,)\s])", ""),
    ("divisor dropped", r" / [\w.]+(?=[;,)\s])", ""),
    ("step doubled", r"\+= (gpu_step\(\)|GPU_WARP|[A-Z_]+_BLOCK|\w+)\)", r"+= 2 * \1)"),
    ("max to min", r"\b(f?)max\(", r"\1min("),
    ("min to max", r"\b(f?)min\(", r"\1max("),
    ("shuffle offset doubled", r"(__shfl_\w+_sync\([^,]+, [^,]+, )(\w+)", r"\g<1>2 * \2"),
    ("mask of half a warp", r"0xFFFFFFFFu|~0u", "0xFFFFu"),
    ("double to float", r"\bdouble (?=\w+ = )", "float "),
    ("axes swapped", r"\[axis\]", "[0]"),
    ("index of the block dropped", r"blockIdx\.x \* ", "0 * "),
)]


class Mutant:
    def __init__(self, path, line, name, text, original):
        self.path, self.line, self.name, self.text, self.original = path, line, name, text, original

    def key(self):
        return (self.path.name, self.name, self.original)


def mutants_of(path):
    """All mutants of a file; comments and directives are left alone."""
    lines = path.read_text(encoding="utf-8").split("\n")
    found, comment = [], False
    for number, line in enumerate(lines):
        starts = line.strip().startswith("/*")
        if comment or starts or line.lstrip().startswith("#"):
            comment = (comment or starts) and "*/" not in line
            continue
        code = re.split(r"/\*|//", line)[0]
        for name, pattern, replacement in MUTATIONS:
            for match in pattern.finditer(code):
                changed = code[:match.start()] + match.expand(replacement) + code[match.end():] + line[len(code):]
                text = "\n".join(lines[:number] + [changed] + lines[number + 1:])
                found.append(Mutant(path, number + 1, name, text, line.strip()))
    return found


def includes(path, name, seen=None):
    """Whether a file includes a header of the kernels' folder, itself or through others."""
    seen = set() if seen is None else seen
    for header in re.findall(r'#include "([^"]+)"', path.read_text(encoding="utf-8")):
        if header == name:
            return True
        other = KERNELS / header
        if header not in seen and other.exists():
            seen.add(header)
            if includes(other, name, seen):
                return True
    return False


def row_names():
    """Names of the operation table's rows."""
    return re.findall(r"^OP_CASE\((\w+)", (ROOT / "tests" / "op_cases.def").read_text(encoding="utf-8"), re.M)


def rows_for(kernel):
    """Rows that a kernel's file serves, by name."""
    operation = re.sub(r"(_grad)?_cuda$", "", kernel.stem)
    return [row for row in row_names() if row == operation or row.startswith(operation + "_")]


def kernel_for(path, choose):
    """The .cu file that a mutant is tested with: itself, or one that includes the header."""
    if path.suffix == ".cu":
        return path
    users = [k for k in sorted(KERNELS.glob("*.cu")) if rows_for(k) and includes(k, path.name)]
    return choose.choice(users) if users else None


class Builder:
    """Builds plug-ins with the commands of the build folder."""

    def __init__(self, build):
        self.build = build
        self.folder = build / "tests" / "cudasim"
        commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
        self.compile = {pathlib.Path(c["file"]).name: shlex.split(c["command"]) for c in commands
                        if "cudasim_checked_kernels.dir" in c["command"]}
        self.link = shlex.split((self.folder / "CMakeFiles/cudasim_checked.dir/link.txt").read_text(encoding="utf-8"))
        if not self.compile:
            sys.exit("mutate.py: the build folder has no target cudasim_checked")

    def plug_in(self, kernel, sources, out):
        """Whether a plug-in could be made from a changed copy of the kernels' folder."""
        changed = [a.replace(str(KERNELS), str(sources)) for a in self.compile[kernel.name] if a != "-Werror"]
        object_file = changed[changed.index("-o") + 1]
        changed[changed.index("-o") + 1] = str(out / "kernel.o")
        if subprocess.run(changed, cwd=self.folder, capture_output=True, check=False).returncode != 0:
            return False
        link = [str(out / "kernel.o") if a == object_file else a for a in self.link]
        link[link.index("-o") + 1] = str(out / "libquern-cuda.so")
        subprocess.run(link, cwd=self.folder, capture_output=True, check=True)
        return True

    def passes(self, rows, plug_in_folder):
        """Whether the tests of some rows pass with a plug-in."""
        environment = dict(os.environ, QUERN_TEST_DEVICE="cuda", QUERN_BACKEND_PATH=str(plug_in_folder),
                           QUERN_TEST_ROWS=",".join(rows))
        program = [str(self.build / "bin" / "tests" / "test_ops"), "-j1", "--timeout", str(SECONDS)]
        try:
            done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=SECONDS,
                                  check=False, cwd=self.folder)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


def judge(builder, mutant, kernel):
    """killed, survived, or not compiled."""
    with tempfile.TemporaryDirectory() as name:
        out = pathlib.Path(name)
        sources = out / "kernels"
        shutil.copytree(KERNELS, sources)
        (sources / mutant.path.name).write_text(mutant.text, encoding="utf-8")
        if not builder.plug_in(kernel, sources, out):
            return "not compiled"
        return "survived" if builder.passes(rows_for(kernel), out) else "killed"


def known_survivors():
    """(file, mutation, line's text) -> reason."""
    known = {}
    for line in SURVIVORS.read_text(encoding="utf-8").splitlines()[1:] if SURVIVORS.exists() else []:
        file, name, text, reason = line.split("\t")
        known[(file, name, text)] = reason
    return known


def sound_kernels(builder, kernels):
    """Kernels whose rows pass unchanged: with others, every mutant would seem killed."""
    sound = set()
    for kernel in sorted(kernels):
        if builder.passes(rows_for(kernel), builder.build / "bin" / "cudasim" / "checked"):
            sound.add(kernel)
        else:
            print(f"{kernel.name}: its rows fail without any change; left out")
    return sound


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=20, help="mutants, a sample by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", help="one file of kernels/cuda instead of all")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    options = parser.parse_args()
    choose = random.Random(options.seed)
    files = [KERNELS / options.file] if options.file else sorted([*KERNELS.glob("*.cu"), *KERNELS.glob("cuda_*.h")])
    every = [m for f in files for m in mutants_of(f)]
    sample = choose.sample(every, min(options.most, len(every)))
    pairs = [(m, kernel_for(m.path, choose)) for m in sample]
    pairs = [(m, k) for m, k in pairs if k and rows_for(k)]
    builder = Builder(options.build.resolve())
    sound = sound_kernels(builder, {k for _, k in pairs})
    pairs = [(m, k) for m, k in pairs if k in sound]
    known, counts, unknown = known_survivors(), {}, 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for (mutant, kernel), verdict in zip(pairs, pool.map(lambda pair: judge(builder, *pair), pairs)):
            if verdict == "survived" and mutant.key() in known:
                verdict = "equivalent"
            unknown += verdict == "survived"
            counts[verdict] = counts.get(verdict, 0) + 1
            print(f"{verdict}\t{mutant.path.name}:{mutant.line}\t{mutant.name}\t{mutant.original}\t({kernel.stem})",
                  flush=True)
    print(", ".join(f"{n} {v}" for v, n in sorted(counts.items())) or "no mutants", f"of {len(every)} in all")
    sys.exit(1 if unknown or not pairs else 0)


if __name__ == "__main__":
    main()
