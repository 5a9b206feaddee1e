#!/usr/bin/env python3
"""Changes the CUDA kernels, one fault at a time, and says whether the tests notice.

    mutate.py [--most 40] [--seed 1] [--file softmax_cuda.cu] [--results FILE] [--build build/release]

A mutant is built for the simulated GPU with its checker and runs the tests of its kernel, first those that take least,
until one notices: a test fails, the simulated GPU reports, or the processor time runs out. Mutants are drawn by the
seed, one of each file in turn, and of a file one of each kind (mutations.py) in turn. Survivors that
compute the same as the original stand in survivors.tsv with the reason; any other makes the exit status 1. With
--results each verdict is added to the file, and what stands there is not judged again.
"""
import argparse
import concurrent.futures
import functools
import json
import os
import pathlib
import random
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile

from mutations import mutants_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = ROOT / "kernels" / "cuda"
SURVIVORS = pathlib.Path(__file__).with_name("survivors.tsv")
SECONDS = 60  # of the processor, for one test: more is a hang
USERS = 3  # kernels that a header's mutant is tried with

# Kernels whose rows of the operation table bear other names.
ROWS = {
    "copy": ("contiguous", "permute", "slice", "slice_rows", "expand", "flatten", "cast"),
    "fold": ("unfold",),
    "embedding_grad": ("embedding", "embedding_bag"),
    "gather": ("gather", "scatter_add"),
    "affine": ("affine", "mean"),
}
# Tests beside the table: program and pattern of names, of those that a device can run.
STEPS = (("test_optim", "*"), ("test_embedding", "*@(steps_move*|square_sums*|rows_without*)"))
TABLES = (("test_embedding", "*@(rows_and*|bags*|second*|of_nothing|only_rows*|the_row_of*|rows_above*)"),)
LINES = (("test_sequence_ops", "*"),)
NUMBERS = (("test_random", "*"),)
CELLS = (("test_recurrent", "!(what_does*)"),)
FAULTS = (("test_cuda", "faults_in*"),)
PROGRAMS = {
    "exp": (("test_cuda", "a_launch*"), ("test_core", "*empty*")),
    "bfloat16": (("test_cuda_precision", "*"),),
    "adadelta_step": STEPS, "adam_step": STEPS, "rmsprop_step": STEPS, "sgd_step": STEPS,
    "clip_factor": (("test_optim", "*clip*"), ("test_embedding", "*clip*")),
    "square_sum": (("test_optim", "*clip*"), ("test_embedding", "*@(square*|clip*)")),
    "embedding": TABLES, "embedding_bag": TABLES, "embedding_grad": TABLES, "limit_norm": TABLES,
    "attention": (("test_attention", "*"),),
    "cast": (("test_values", "*"),), "cross_entropy": (("test_values", "*"), *FAULTS),
    "scatter_add": FAULTS, "add": (("test_core", "*anywhere*"),),
    "copy": (("test_views", "*"),), "fill": (("test_views", "*"),),
    "clamp": (("test_core", "*clamp*"),), "cumsum": LINES, "loss_scale_update": (("test_loss_scale", "*"),),
    "lstm": CELLS, "gru": CELLS,
    "dropout": NUMBERS, "normal": NUMBERS, "uniform": NUMBERS,
    "conv1d_max": LINES, "fold": LINES, "sort": LINES, "sequence_lengths": LINES, "sequence_max": LINES,
    "sequence_mean": LINES,
}
# What a kernel must be that shows the faults of a header.
SHOWN_BY = {"cuda_queue.h": ("exp",), "gpu.h": ("exp",), "cuda_map.h": ("exp", "add")}
FAST, SLOW = "ops/@(each_*|a_second*)", "ops/@(nan_*|empty_*|gradient_*|second_*|large_*|a_variance*|a_conv*)"


def operation_of(kernel):
    return kernel.stem.removesuffix("_cuda")


@functools.cache
def rows_for(kernel):
    """Rows of the operation table that a kernel's file serves, by name: those named after it, after no longer name."""
    operations = {operation_of(k) for k in KERNELS.glob("*.cu")}
    wanted = ROWS.get(operation_of(kernel), (operation_of(kernel),))
    rows = re.findall(r"^OP_CASE\((\w+)", (ROOT / "tests" / "op_cases.def").read_text(encoding="utf-8"), re.M)
    found = []
    for row in rows:
        served = [o for o in {*operations, *wanted} if row == o or row.startswith(o + "_")]
        if served and max(served, key=len) in wanted:
            found.append(row)
    return found


def stages_for(kernel):
    """(program, pattern) of a kernel's tests, in the order in which they are run."""
    programs = list(PROGRAMS.get(operation_of(kernel), ()))
    table = [("test_ops", pattern) for pattern in (FAST, SLOW)] if rows_for(kernel) else []
    return table + programs


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


@functools.cache
def definitions():
    """name -> (header, first line, text) of what the kernels' headers define at the margin."""
    found = {}
    for header in sorted(KERNELS.glob("*.h")):
        name, lines, first = None, [], 1
        for number, line in enumerate(header.read_text(encoding="utf-8").split("\n"), 1):
            start = re.match(r"(?!#|/|using|namespace|extern)[^\s}].*?(?:\b(?:struct|enum) (\w+)|(?<!__launch_bounds__)\b(?!__)(\w+)\()", line)
            if start:
                found.setdefault(name, []).append((header, first, "\n".join(lines)))
                name, lines, first = start[1] or start[2], [], number
            lines.append(line)
        found.setdefault(name, []).append((header, first, "\n".join(lines)))
    found.pop(None)
    return found


def names_around(path, line):
    """What defines the line of a header, and what uses that in any header, by name."""
    names = {name for name, places in definitions().items() for header, first, text in places
             if header == path and first <= line <= first + text.count("\n")}
    grown = 0
    while names and grown != len(names):
        grown, pattern = len(names), re.compile(rf"\b(?:{'|'.join(names)})\b")
        names |= {name for name, places in definitions().items() if any(pattern.search(text) for *_, text in places)}
    return names


@functools.cache
def users_of(path):
    """The .cu files that include a header and have tests."""
    return [k for k in sorted(KERNELS.glob("*.cu")) if stages_for(k) and includes(k, path.name)]


def kernels_for(mutant, choose):
    """The .cu files that a mutant is tested with: itself, or some that include the header, best those that name what
    was changed or what uses it."""
    if mutant.path.suffix == ".cu":
        return [mutant.path]
    if mutant.path.name in SHOWN_BY:
        return [KERNELS / f"{name}_cuda.cu" for name in SHOWN_BY[mutant.path.name]]
    users, names = users_of(mutant.path), names_around(mutant.path, mutant.line)
    naming = [k for k in users if names and re.search(rf"\b(?:{'|'.join(names)})\b", k.read_text(encoding="utf-8"))]
    users = naming or users
    return choose.sample(users, min(USERS, len(users)))


class Builder:
    """Builds plug-ins with the commands of the build folder, less what costs time, and runs tests with them."""

    def __init__(self, build, scratch):
        self.build = build
        self.folder = build / "tests" / "cudasim"
        commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
        self.compile = {pathlib.Path(c["file"]).name: shlex.split(c["command"]) for c in commands
                        if "cudasim_checked_kernels.dir" in c["command"] and c["file"].endswith(".cu")}
        if not self.compile:
            sys.exit("mutate.py: the build folder has no target cudasim_checked")
        self.link = shlex.split((self.folder / "CMakeFiles/cudasim_checked.dir/link.txt").read_text(encoding="utf-8"))
        self.ahead = self.precompile(scratch)

    def flags(self, kernel):
        """The command for a kernel, without debug information, warnings, ccache, and the header that CMake precompiles:
        it holds some of the headers that are changed here."""
        command = self.compile[kernel]
        if "-include" in command:
            at = command.index("-include")
            command = command[:at] + command[at + 2:]
        return [a for a in command if a not in ("-g", "-g1", "-Werror") and not a.startswith("-W")
                and "ccache" not in a]

    def precompile(self, folder):
        """CUDA's headers, which take most of the time, compiled once; the name to include."""
        (folder / "ahead.h").write_text('#include "cudasim_device.h"\n', encoding="utf-8")
        command = ["c++-header" if a == "c++" else a for a in self.flags(next(iter(self.compile)))]
        subprocess.run([*command[:command.index("-o")], str(folder / "ahead.h"), "-o", str(folder / "ahead.h.gch")],
                       cwd=self.folder, check=True)
        return folder / "ahead.h"

    def plug_in(self, kernel, sources, out):
        """Whether a plug-in could be made from a changed copy of the kernels' folder."""
        command = self.flags(kernel.name)
        where = command.index("-o") + 1
        object_file, command[where] = command[where], str(out / "kernel.o")
        command = [a.replace(str(KERNELS), str(sources)) for a in command]
        command[1:1] = ["-include", str(self.ahead)]
        if subprocess.run(command, cwd=self.folder, capture_output=True, check=False).returncode != 0:
            return False
        link = [str(out / "kernel.o") if a == object_file else a for a in self.link]
        link[link.index("-o") + 1] = str(out / "libquern-cuda.so")
        subprocess.run([*link, "-Wl,-s"], cwd=self.folder, capture_output=True, check=True)
        return True

    def passes(self, kernel, stage, plug_in_folder):
        """Whether a stage's tests pass with a plug-in."""
        program, pattern = stage
        environment = dict(os.environ, QUERN_TEST_DEVICE="cuda", QUERN_BACKEND_PATH=str(plug_in_folder),
                           QUERN_TEST_PROVIDERS="cuda", QUERN_TEST_ROWS=",".join(rows_for(kernel)),
                           OMP_WAIT_POLICY="passive")
        command = [str(self.build / "bin" / "tests" / program), "-j1", "--fail-fast", "--filter",
                   pattern if "/" in pattern else f"*/{pattern}"]
        done = subprocess.run(command, env=environment, capture_output=True, check=False, cwd=self.folder,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS)))
        return done.returncode == 0


def judge_with(builder, mutant, kernel):
    """What came of one kernel with a change: the stage that noticed, survived, or not compiled."""
    with tempfile.TemporaryDirectory() as name:
        out = pathlib.Path(name)
        sources = out / "kernels"
        shutil.copytree(KERNELS, sources)
        (sources / mutant.path.name).write_text(mutant.text, encoding="utf-8")
        if not builder.plug_in(kernel, sources, out):
            return "not compiled"
        for stage in stages_for(kernel):
            if not builder.passes(kernel, stage, out):
                return f"noticed\t{kernel.stem}: {stage[0]} {stage[1]}"
        return "survived"


def judge(builder, mutant, kernels):
    """noticed, survived or not compiled, a tab, and by what."""
    for kernel in kernels:
        verdict = judge_with(builder, mutant, kernel)
        if verdict.startswith("noticed"):
            return verdict
    return f"{verdict}\t{' '.join(k.stem for k in kernels)}"


def known_survivors():
    """A mutant's key -> reason."""
    known = {}
    for line in SURVIVORS.read_text(encoding="utf-8").splitlines()[1:] if SURVIVORS.exists() else []:
        *key, reason = line.split("\t")
        known[tuple(key)] = reason
    return known


def in_turn(lists):
    """One element of each list, then the second of each, and so on."""
    lists = [list(reversed(one)) for one in lists]
    while any(lists):
        yield from (one.pop() for one in lists if one)


def sample_of(files, most, choose):
    """Mutants of files, one of each file in turn; of a file, one of each kind in turn."""
    by_file = []
    for file in files:
        kinds = {}
        for mutant in mutants_of(file):
            kinds.setdefault(mutant.name, []).append(mutant)
        kinds = list(kinds.values())
        choose.shuffle(kinds)
        for kind in kinds:
            choose.shuffle(kind)
        by_file.append(list(in_turn(kinds)))
    return list(in_turn(by_file))[:most], sum(map(len, by_file))


def judge_unchanged(builder, kernels, pool):
    """Ends the run if a kernel's tests fail without any change: every mutant would seem noticed."""
    def failures(kernel):
        folder = builder.build / "bin" / "cudasim" / "checked"
        return [f"{kernel.name}: {' '.join(s)} fails without any change" for s in stages_for(kernel)
                if not builder.passes(kernel, s, folder)]
    failed = sum(pool.map(failures, sorted(kernels)), [])
    if failed:
        sys.exit("\n".join(failed))


def read_results(path):
    """A mutant's key -> verdict, of earlier runs."""
    judged = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []:
        verdict, how, *key = line.split("\t")
        judged[tuple(key)] = f"{verdict}\t{how}"
    return judged


def judge_all(builder, pairs, options):
    """The verdicts, by name; each is printed and kept when it is there."""
    known, judged, counts = known_survivors(), read_results(options.results), {}
    fresh = [(m, k) for m, k in pairs if m.key() not in judged]
    kept = options.results.open("a", encoding="utf-8") if options.results else open(os.devnull, "w", encoding="utf-8")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool, kept:
        if options.sound:
            judge_unchanged(builder, {kernel for _, kernels in fresh for kernel in kernels}, pool)
        runs = {m.key(): pool.submit(judge, builder, m, k) for m, k in fresh}
        for mutant, _ in pairs:
            verdict = judged.get(mutant.key()) or runs[mutant.key()].result()
            if mutant.key() not in judged:
                print(verdict, *mutant.key(), sep="\t", file=kept, flush=True)
                judged[mutant.key()] = verdict
            word = verdict.split("\t")[0]
            if word == "survived" and mutant.key() in known:
                word = "equivalent"
            counts[word] = counts.get(word, 0) + 1
            if word not in ("noticed", "not compiled"):
                print(f"{word}\t{mutant.path.name}:{mutant.line}\t{mutant.name}\t{mutant.changed}", flush=True)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=40, help="mutants, a sample by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", help="one file of kernels/cuda instead of all")
    parser.add_argument("--results", type=pathlib.Path, help="file with the verdicts of this and earlier runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--unsound", dest="sound", action="store_false", help="do not first test the unchanged kernels")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    options = parser.parse_args()
    choose = random.Random(options.seed)
    files = [KERNELS / options.file] if options.file else sorted([*KERNELS.glob("*.cu"), *KERNELS.glob("*.h")])
    sample, every = sample_of(files, options.most, choose)
    pairs = [(mutant, kernels_for(mutant, choose)) for mutant in sample]
    pairs = [(mutant, kernels) for mutant, kernels in pairs if kernels]
    with tempfile.TemporaryDirectory() as scratch:
        counts = judge_all(Builder(options.build.resolve(), pathlib.Path(scratch)), pairs, options)
    print(", ".join(f"{n} {v}" for v, n in sorted(counts.items())) or "no mutants", f"of {every} in all")
    sys.exit(1 if counts.get("survived") or not pairs else 0)


if __name__ == "__main__":
    main()
