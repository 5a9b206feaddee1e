"""Attacks on the programs. Each is a generator: it yields after every case, so that who calls it can stop, and
raises Finding where something did not hold."""

import functools
import os
import resource
import signal
import subprocess
import time

from laboratory import (BAD_INPUT, BIN, DONE, ROOT, Finding, empty, expect_whole, outputs, reference, run)

KILLS_A_RUN = 4


# ---- SIGKILL ---------------------------------------------------------------------------------------------------

def train_until(program, folder, seconds):
    """Trains, or goes on, and is killed after so many seconds. Whether it was."""
    state = folder / "state"
    command = [*program.train, *outputs(folder), *(["--resume", state] if state.exists() else [])]
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    try:
        _, told = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        _, told = process.communicate()
    if process.returncode not in (DONE, -signal.SIGKILL):
        raise Finding(f"{program.name} does not go on after a kill ({process.returncode}): {told.decode()}")
    return process.returncode != DONE


def kills(programs, folder, rng):
    """Training runs killed at random moments, several times each, end with the bits of one that nobody disturbed."""
    known = []
    for program in programs:
        start = time.monotonic()
        model = reference(program, folder / f"{program.name}-whole")
        known.append((program, model, time.monotonic() - start))
    while True:
        for program, model, seconds in known:
            place = empty(folder / program.name)
            for _ in range(KILLS_A_RUN):
                if train_until(program, place, rng.uniform(0, seconds)):
                    yield
            train_until(program, place, None)
            expect_whole(place, model, f"{program.name} killed and resumed")


# ---- flipped bits ----------------------------------------------------------------------------------------------

def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def use_damaged_model(program, place, model, bit):
    (place / "model").write_bytes(flipped(model, bit))
    for command in (program.using(place / "model"), [program.path, "--verify", place / "model"]):
        if run(command).returncode != BAD_INPUT:
            raise Finding(f"{program.name}: bit {bit} of the model flipped, and {command[1]} does not refuse it")


def resume_from_damage(program, place, whole, model, bit):
    """The damaged checkpoint is refused; with the one before it the run ends with the same bits."""
    empty(place)
    (place / "state").write_bytes(flipped((whole / "state").read_bytes(), bit))
    command = [*program.train, *outputs(place), "--resume", place / "state"]
    if run(command).returncode != BAD_INPUT:
        raise Finding(f"{program.name}: bit {bit} of the checkpoint flipped, and it is resumed")
    (place / "state.previous").write_bytes((whole / "state.previous").read_bytes())
    if run(command).returncode != DONE:
        raise Finding(f"{program.name}: bit {bit} of the checkpoint flipped, and the one before is not taken")
    expect_whole(place, model, f"{program.name} resumed with bit {bit} flipped")


def resume_beside_damaged_log(program, place, whole, model, rng):
    """A log is for people: whatever is in it, the run goes on, and writes it anew."""
    empty(place)
    for name in ("state", "log"):
        (place / name).write_bytes((whole / name).read_bytes())
    log = (whole / "log").read_bytes()
    (place / "log").write_bytes(flipped(log, rng.randrange(8 * len(log))))
    if run([*program.train, *outputs(place), "--resume", place / "state"]).returncode != DONE:
        raise Finding(f"{program.name}: does not go on beside a damaged log")
    expect_whole(place, model, f"{program.name} resumed beside a damaged log")


def bits(programs, folder, rng, every=False):
    """Bits of models, checkpoints and logs flipped: by chance, or every bit of the smallest model first."""
    known = []
    for program in programs:
        whole = folder / f"{program.name}-whole"
        known.append((program, whole, reference(program, whole), empty(folder / program.name)))
    if every:
        program, _, model, place = min(known, key=lambda k: len(k[2]))
        for bit in range(8 * len(model)):
            use_damaged_model(program, place, model, bit)
            yield
    while True:
        for program, whole, model, place in known:
            use_damaged_model(program, place, model, rng.randrange(8 * len(model)))
            yield
            resume_from_damage(program, place, whole, model, rng.randrange(8 * (whole / "state").stat().st_size))
            yield
            resume_beside_damaged_log(program, place, whole, model, rng)
            yield


# ---- no more room ----------------------------------------------------------------------------------------------

def limit_files(most):
    """Files of at most so many bytes: writing on is SIGXFSZ, and where that is ignored EFBIG."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def train_with_little_room(program, place, old, model, most):
    """Either it all fits, or the run says that it does not and the model of before is there whole."""
    empty(place)
    (place / "model").write_bytes(old)
    done = run([*program.train, *outputs(place)], preexec_fn=functools.partial(limit_files, most))
    now = (place / "model").read_bytes()
    if now != (model if done.returncode == DONE else old) and now != model:
        raise Finding(f"{program.name} with files of at most {most} bytes: status {done.returncode}, "
                      f"and a model that is neither the old one nor the new one")
    left = [path.name for path in place.iterdir() if path.name.endswith(".tmp")]
    if left:
        raise Finding(f"{program.name} with files of at most {most} bytes: left over: {', '.join(left)}")


def write_to_full(program, place):
    """Writes to /dev/full, through each option and to the standard output: none may look like success."""
    model = place / "whole"
    for option in ("--save", "--log", "--report", "--checkpoint"):
        given = ["--save", model, option, "/dev/full"] if option != "--save" else [option, "/dev/full"]
        if run([*program.train, *given], cwd=place).returncode == DONE:
            raise Finding(f"{program.name}: {option} /dev/full is called a success")
        yield
    with open("/dev/full", "wb") as full:
        if run(program.using(model), stdout=full).returncode == DONE:
            raise Finding(f"{program.name}: results that could not be written are called a success")
    yield


def disk(programs, folder, rng, every=False):
    """Full disks: files of at most N bytes for N by chance, or for every N of the smallest run first."""
    known = []
    for program in programs:
        whole = folder / f"{program.name}-whole"
        model = reference(program, whole)
        place = empty(folder / program.name)
        (place / "whole").write_bytes(model)
        yield from write_to_full(program, place)
        room = max(path.stat().st_size for path in whole.iterdir()) + 2
        known.append((program, model[:-4] + b"gone", model, place, room, whole))
    if every:
        program, old, model, place, _, whole = min(known, key=lambda k: len(k[2]))
        for most in range((whole / "state").stat().st_size + 2):
            train_with_little_room(program, place, old, model, most)
            yield
    while True:
        for program, old, model, place, room, _ in known:
            train_with_little_room(program, place, old, model, int(room ** rng.random()))
            yield


# ---- locales ---------------------------------------------------------------------------------------------------

LOCALES = ("de_DE", "tr_TR")  # decimal commas; an I that is not the capital of i


def make_locales(folder):
    """Those that can be made here."""
    made = []
    for name in LOCALES:
        command = ["localedef", "-i", name, "-f", "UTF-8", folder / f"{name}.UTF-8"]
        try:
            subprocess.run(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        except FileNotFoundError:
            break
        if (folder / f"{name}.UTF-8").exists():
            made.append(f"{name}.UTF-8")
    return made


# Test programs that look at text: those with which locales begin, and all that the gate has time for.
TEXT_TESTS = ("test_io", "test_series", "test_corpus", "test_resume", "test_fit_output")


def library_tests(rng):
    """Test programs of the library, by chance, those of text first; those of programs, which set no locale, not."""
    sources = {path.stem: path.read_text() for path in (ROOT / "tests").glob("test_*.c")}
    names = [name for name, text in sources.items() if "example_program.h" not in text and "execv" not in text]
    others = sorted(name for name in names if name not in TEXT_TESTS and (BIN / "tests" / name).exists())
    return [*TEXT_TESTS, *rng.sample(others, len(others))]


def locales(_, folder, rng):
    """The library's tests hold in a host that has set a locale. Its messages stay English: the C library has its own."""
    place = empty(folder / "locales")
    names = make_locales(place)
    for test in library_tests(rng):
        for name in names:
            here = dict(os.environ, LOCPATH=str(place), LANG=name, LC_MESSAGES="C",
                        LD_PRELOAD=str(BIN / "torture/set_locale.so"))
            for variable in ("LC_ALL", "LANGUAGE"):
                here.pop(variable, None)
            done = subprocess.run([BIN / "tests" / test, "--short-filename"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=here, check=False)
            if done.returncode != 0:
                raise Finding(f"{test} fails in {name}\n{done.stdout.decode(errors='replace')}")
            yield
