#!/usr/bin/env python3
"""torture.py [--minutes N] [--seed N] [--jobs N] [--only PART,...] | --quick

Attacks the library and its programs until the time is over: every part gets the same share of it. What is found is
kept in runs/torture/, a folder a finding. `--quick` is the gate: so many cases of each attack on the programs, and no
fuzzing. The exit status is 1 when there was a finding. `./run torture` builds what this needs.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import attacks
import laboratory
from laboratory import BIN, ROOT, Finding

FUZZ = ROOT / "build/fuzz/bin/fuzz"
# Cases of each attack in the gate.
QUICK = {"kills": 20, "bits": 60, "disk": 60, "locales": 10}
_ASAN = "detect_leaks=1:allocator_may_return_null=1"


class Result:
    def __init__(self, name, unit):
        self.name, self.unit = name, unit
        self.count, self.seconds, self.findings, self.note = 0, 0.0, 0, ""


class Torture:
    def __init__(self, seed, folder):
        self.seed, self.folder, self.lock = seed, folder, threading.Lock()

    def keep(self, result, words, *paths):
        """Keeps a finding: what it is, in words, and the files that show it."""
        with self.lock:
            result.findings += 1
            place = self.folder / f"{result.name}-{result.findings}"
            place.mkdir(parents=True)
        (place / "finding.txt").write_text(f"seed {self.seed}\n{words}\n")
        for path in paths:
            if path.is_dir():
                shutil.copytree(path, place / path.name)
            elif path.exists():
                shutil.copy(path, place)
        print(f"FINDING in {result.name}: {words.splitlines()[0]} ({place})", flush=True)

    # ---- parts: each fills a result within so many seconds ------------------------------------------------------

    def attack(self, name, function, seconds, most=None, **more):
        """One of the attacks on the programs, until its time or its cases are over."""
        result = Result(name, "cases")
        with tempfile.TemporaryDirectory(prefix="torture-") as scratch:
            folder = pathlib.Path(scratch)
            rng = random.Random(f"{self.seed} {name}")
            end = time.monotonic() + seconds
            try:
                made = laboratory.programs(folder / "data", rng)
                for _ in function(made, folder, rng, **more):
                    result.count += 1
                    if time.monotonic() > end or result.count == most:
                        break
            except Finding as finding:
                self.keep(result, str(finding), folder)
        if result.count == 0 and not result.findings:
            result.note = "could not be run here"
        return result

    def command(self, name, unit, command, seconds, pattern, **environment):
        """A program that looks by itself, as long as it is told or until its time is over."""
        result = Result(name, unit)
        log = self.folder / f"{name}.log"
        process_environment = dict(os.environ, **environment)
        with open(log, "wb") as out:
            try:
                status = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out,
                                        stderr=subprocess.STDOUT, timeout=seconds, cwd=ROOT,
                                        env=process_environment, check=False).returncode
            except subprocess.TimeoutExpired:
                status, result.note = 0, "not finished"
        text = log.read_text(errors="replace")
        result.count = sum(int(number) for number in re.findall(pattern, text))
        if status != 0:
            self.keep(result, f"exit status {status}: {' '.join(map(str, command))}", log)
        return result

    def plans(self, seconds):
        return self.command("plans", "steps", [BIN / "search/search_plans", int(seconds), self.seed],
                            seconds + 120, r"(\d+) steps")

    def test(self, program, seconds):
        """A test program in its long form."""
        return self.command(program.name, "tests", [program, "--short-filename", "--verbose"], seconds,
                            r"Passing: (\d+)", QUERN_TEST_LONG="1")

    def fuzz(self, target, seconds):
        work = ROOT / "build/fuzz/work" / target.name
        work.mkdir(parents=True, exist_ok=True)
        command = [target, f"-max_total_time={int(seconds)}", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=0",
                   "-print_final_stats=1", f"-seed={self.seed % 2**31 + 1}",
                   f"-artifact_prefix={self.folder}/{target.name}-", work,
                   ROOT / "tests/fuzz/corpus" / target.name]
        return self.command(target.name, "inputs", command, seconds + 120,
                            r"number_of_executed_units: +(\d+)", ASAN_OPTIONS=_ASAN,
                            UBSAN_OPTIONS="print_stacktrace=1")


def parts(torture, quick):
    """Name and function, of one argument, the seconds, for all that there is."""
    found = {}
    for name, function in (("kills", attacks.kills), ("bits", attacks.bits), ("disk", attacks.disk),
                           ("locales", attacks.locales)):
        more = {"every": True} if name in ("bits", "disk") and not quick else {}
        found[name] = lambda seconds, n=name, f=function, m=more: torture.attack(
            n, f, seconds, QUICK[n] if quick else None, **m)
    if quick:
        return found
    found["plans"] = torture.plans
    for program in sorted((BIN / "tests").glob("test_*")):
        source = ROOT / "tests" / f"{program.name}.c"
        text = source.read_text() if source.exists() else ""
        if program.name in ("test_calls", "test_faults") or "QUERN_TEST_LONG" in text:
            found[program.name] = lambda seconds, p=program: torture.test(p, seconds)
    for target in sorted(FUZZ.glob("fuzz_*")):
        found[target.name] = lambda seconds, t=target: torture.fuzz(t, seconds)
    return found


def timed(function, seconds):
    start = time.monotonic()
    result = function(seconds)
    result.seconds = time.monotonic() - start
    print(f"{result.name}: {result.count} {result.unit} in {result.seconds:.0f} s, {result.findings} findings",
          flush=True)
    return result


def show(results):
    print(f"\n{'what':<20}{'count':>10} {'of':<8}{'seconds':>8}{'findings':>9}")
    for r in results:
        print(f"{r.name:<20}{r.count:>10} {r.unit:<8}{r.seconds:>8.0f}{r.findings:>9}  {r.note}".rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="parts side by side")
    parser.add_argument("--only", default="", help="parts, with commas between them")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    folder = ROOT / "runs/torture" / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    all_parts = parts(Torture(options.seed, folder), options.quick)
    wanted = options.only.split(",") if options.only else list(all_parts)
    unknown = [name for name in wanted if name not in all_parts]
    if unknown:
        parser.error(f"no part {unknown[0]}; there are {', '.join(all_parts)}")
    share = options.minutes * 60 * options.jobs / len(wanted)
    print(f"seed {options.seed}, {len(wanted)} parts, {share:.0f} s each, findings go to {folder}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda name: timed(all_parts[name], share), wanted))
    show(results)
    if not any(folder.iterdir()):
        folder.rmdir()
    return 1 if any(r.findings for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
