#!/usr/bin/env python3
"""The example programs trained on a CUDA device, which may be the simulated one, and on the CPU.

    train_examples.py PROGRAMS [NAME...]

PROGRAMS is the folder of the programs, NAME one of the runs below. Both runs of an example get the same seed; each
epoch's losses must agree, the device must have been used, and no operation may have run on the host in its place
(QUERN_LOG=fallback names them).
"""
import gzip
import json
import os
import struct
import subprocess
import sys
import tempfile
from concurrent import futures

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")

# Name, program with its options. The first trains long enough to show a loss curve, 240 steps, at a low learning rate: at
# the usual one, a value that rounding puts on the other side of relu's 0 moves the losses by more than the tolerance.
RUNS = [
    ("mlp", "mnist --model mlp --data {images} --batch-size 8 --epochs 3 --lr 0.0005"),
    ("fasttext", "text_classification --model fasttext {texts} --buckets 1000 --epochs 2"),
    ("nlinear", "forecasting --model nlinear {series} --epochs 2"),
    ("dlinear", "forecasting --model dlinear {series} --epochs 2"),
    # The other networks, a few steps each.
    ("lenet", "mnist --model lenet --data {few_images} --batch-size 8 --epochs 1"),
    ("cnn", "mnist --model cnn --data {few_images} --batch-size 8 --epochs 1"),
    ("text-cnn", "text_classification --model cnn {few_texts} --batch-size 8 --epochs 1 {small}"),
    ("text-lstm", "text_classification --model lstm {few_texts} --batch-size 8 --epochs 1 {small}"),
    ("transformer", "text_classification --model transformer {few_texts} --batch-size 8 --epochs 1 {small}"),
    ("lstm", "forecasting --model lstm {few_series} --epochs 1"),
    ("tcn", "forecasting --model tcn {few_series} --epochs 1"),
    ("patchtst", "forecasting --model patchtst {few_series} --epochs 1"),
    ("deepar", "forecasting --model deepar {few_series} --epochs 1 --samples 4"),
]

# The largest difference of a loss that counts as none, of the loss or, below 1, of 1.
TOLERANCE = 1e-3


def cut_idx(source, target, count):
    """The first records of an IDX file."""
    with gzip.open(source) as file:
        data = file.read()
    extents = struct.unpack_from(f">{data[3]}I", data, 4)
    head, size = 4 + 4 * data[3], 1
    for extent in extents[1:]:
        size *= extent
    with open(target, "wb") as file:
        file.write(data[:4] + struct.pack(">I", count) + data[8:head + count * size])


def cut_images(folder, train, test):
    """A folder with the first images of MNIST; its name."""
    os.mkdir(folder)
    for part, count in (("train", train), ("t10k", test)):
        for kind in ("images-idx3", "labels-idx1"):
            name = f"{part}-{kind}-ubyte"
            cut_idx(f"{SOURCES}/mnist/data/{name}.gz", f"{folder}/{name}", count)
    return folder


def cut_lines(source, target, count):
    """The first lines of a file; the new one's name."""
    with (gzip.open if source.endswith(".gz") else open)(source, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    with open(target, "wb") as file:
        file.writelines(lines[:count])
    return target


def cut_table(source, target, rows, columns):
    """The first rows and columns of a CSV file without quotes; the new one's name."""
    with open(source, encoding="utf-8") as file, open(target, "w", encoding="utf-8") as cut:
        cut.writelines(",".join(line.rstrip("\n").split(",")[:columns]) + "\n" for line in list(file)[:rows])
    return target


def make_data(folder):
    """Small sets for the programs, by the names in RUNS."""
    texts, few_texts = ([cut_lines(f"{SOURCES}/text_classification/data/spam.{part}.csv.gz", f"{folder}/{part}{count}.csv",
                                   count) for part, count in counts]
                        for counts in ((("train", 160), ("test", 32)), (("train", 24), ("test", 8))))
    series = f"{SOURCES}/forecasting/data/us-employment.csv"
    return {"images": cut_images(f"{folder}/images", 640, 128),
            "few_images": cut_images(f"{folder}/few_images", 24, 8),
            "texts": f"--train {texts[0]} --test {texts[1]}",
            "small": "--max-length 8 --width 16",
            "few_texts": f"--train {few_texts[0]} --test {few_texts[1]}",
            "series": f"--data {series} --look-back 24 --horizon 4",
            "few_series": f"--data {cut_table(series, f'{folder}/series.csv', 70, 3)} --look-back 24 --horizon 4"}


def train(programs, words, device, folder):
    """Lines of a run's log; what it wrote to stderr."""
    log = f"{folder}/{device}.log"
    command = [f"{programs}/{words[0]}", "train", *words[1:], "--device", device, "--seed", "1", "--quiet", "--log", log,
               "--save", f"{folder}/{device}.safetensors"]
    done = subprocess.run(command, env=dict(os.environ, QUERN_LOG="fallback"), capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        return None, f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}"
    with open(log, encoding="utf-8") as file:
        return [json.loads(line) for line in file], done.stderr


def losses(lines):
    """Of the epochs, in training and in validation."""
    return [(line["train_loss"], line["validation_loss"]) for line in lines if line["event"] == "epoch"]


def differs(expected, got):
    """The first epoch whose losses are not alike, in words; None without."""
    if not expected or len(expected) != len(got):
        return f"{len(got)} epochs, {len(expected)} on the CPU"
    for epoch, (a, b) in enumerate(zip(expected, got), 1):
        if not all(abs(x - y) <= TOLERANCE * max(1, abs(x)) for x, y in zip(a, b)):
            return f"epoch {epoch}: losses {b}, on the CPU {a}"
    return None


def check(programs, words, folder):
    """What is wrong with an example on the device; None if nothing is."""
    os.mkdir(folder)
    expected, fault = train(programs, words, "cpu", folder)
    if expected is None:
        return fault
    got, fault = train(programs, words, "cuda", folder)
    if got is None or "fallback" in fault:
        return fault
    if got[-1]["device"] != "cuda:0":
        return f"ran on {got[-1]['device']}"
    return differs(losses(expected), losses(got))


def main():
    programs, names = sys.argv[1], sys.argv[2:]
    runs = {name: command for name, command in RUNS if not names or name in names}
    if len(runs) < len(set(names)):
        sys.exit(f"train_examples.py: no run {', '.join(sorted(set(names) - set(runs)))}")
    failed = False
    with tempfile.TemporaryDirectory() as folder, futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        data = make_data(folder)
        faults = pool.map(lambda name: check(programs, runs[name].format(**data).split(), f"{folder}/{name}"), runs)
        for name, fault in zip(runs, faults):
            print(f"{name}: {fault or 'as on the CPU, nothing on the host'}", flush=True)
            failed = failed or fault is not None
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
