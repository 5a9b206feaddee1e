"""Programs under attack: small data, commands that train and use a model in a moment, and how a run may end."""

import gzip
import json
import pathlib
import shutil
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build/release/bin"
# The exit codes of the examples: done, machine gave out, bad input.
DONE, FAILED, BAD_INPUT = 0, 1, 2
PATIENCE = 120  # seconds; each run takes a fraction of one


class Finding(Exception):
    """What should not have been."""


def write_images(folder, rng):
    """A set of MNIST's layout: 24 images of 8 x 8, and 3 classes that show as brightness."""
    folder.mkdir()
    for name in ("train", "t10k"):
        labels = [i % 3 for i in range(24)]
        pixels = bytes(min(255, 80 * label + rng.randrange(60)) for label in labels for _ in range(64))
        for kind, head, data in (("images-idx3", struct.pack(">4i", 0x803, 24, 8, 8), pixels),
                                 ("labels-idx1", struct.pack(">2i", 0x801, 24), bytes(labels))):
            (folder / f"{name}-{kind}-ubyte").write_bytes(head + data)
    (folder / "image.pgm").write_bytes(b"P5 8 8 255\n" + bytes(64))
    return folder


def write_texts(path, rng):
    words = {"good": "fine sound bright", "bad": "dull poor broken"}
    lines = [f"{label},{' '.join(rng.choices(words[label].split(), k=5))}" for label in words for _ in range(12)]
    rng.shuffle(lines)
    path.write_text("label,text\n" + "\n".join(lines) + "\n")
    return path


def write_series(path, rng):
    rows = [f"2024-{1 + i // 28:02}-{1 + i % 28:02},{i % 7 + rng.random():.3f},{rng.random():.3f}" for i in range(90)]
    path.write_text("date,a,b\n" + "\n".join(rows) + "\n")
    return path


class Program:
    """One of the examples with the small data: what trains it and what uses its model."""

    def __init__(self, name, train, use):
        self.name, self.path = name, BIN / name
        self.train = [str(self.path), "train", "--quiet", "--threads", "1", "--device", "cpu", *map(str, train)]
        self.use = [str(self.path), *map(str, use), "--threads", "1", "--device", "cpu", "--json"]

    def using(self, model):
        return [*self.use, "--load", str(model)]


def programs(data, rng):
    """All examples, with data written to a folder."""
    data.mkdir(parents=True, exist_ok=True)
    images = write_images(data / "images", rng)
    texts = write_texts(data / "texts.csv", rng)
    line = data / "line.txt"
    line.write_text("fine and bright\n")
    series = write_series(data / "series.csv", rng)
    return [
        Program("mnist", ["--data", images, "--model", "mlp", "--epochs", 12, "--batch-size", 8],
                ["predict", images / "image.pgm"]),
        Program("text_classification",
                ["--train", texts, "--test", texts, "--model", "fasttext", "--width", 4, "--buckets", 50,
                 "--epochs", 20, "--batch-size", 8], ["predict", line]),
        Program("forecasting",
                ["--data", series, "--model", "nlinear", "--look-back", 4, "--horizon", 2, "--epochs", 30],
                ["predict", series]),
    ]


def run(command, **more):
    """Runs a command to its end. A signal, a hang, a failure without one line that says why: findings."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=more.pop("stdout", subprocess.PIPE),
                              stderr=subprocess.PIPE, timeout=PATIENCE, **more)
    except subprocess.TimeoutExpired:
        raise Finding(f"does not end: {' '.join(command)}") from None
    told = done.stderr.decode(errors="replace")
    if done.returncode not in (DONE, FAILED, BAD_INPUT):
        raise Finding(f"exit status {done.returncode}: {' '.join(command)}\n{told}")
    if done.returncode != DONE and not told.strip():
        raise Finding(f"fails ({done.returncode}) without a word: {' '.join(command)}")
    return done


def outputs(folder):
    """The options that make a run write all it can to a folder."""
    return ["--save", folder / "model", "--checkpoint", folder / "state", "--log", folder / "log",
            "--report", folder / "report"]


def reference(program, folder):
    """Trains undisturbed, and uses the model; its bytes."""
    folder.mkdir(parents=True)
    done = run([*program.train, *outputs(folder)])
    if done.returncode != DONE:
        raise Finding(f"{program.name} does not train: {done.stderr.decode(errors='replace')}")
    if not run(program.using(folder / "model")).stdout:
        raise Finding(f"{program.name} does not use the model that it made")
    return (folder / "model").read_bytes()


def expect_whole(folder, model, told):
    """After a run that came to its end: the model of an undisturbed one, and nothing left over."""
    if (folder / "model").read_bytes() != model:
        raise Finding(f"{told}: the model has other bits")
    names = {path.name for path in folder.iterdir()} - {"model", "state", "state.previous", "log", "report"}
    if names:
        raise Finding(f"{told}: left over: {', '.join(sorted(names))}")
    for line in (folder / "log").read_text().splitlines():
        json.loads(line)


def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
