"""Replays iterates of every order in float64 and compares them with Backtrail's.

    python3 Scripts/compare-with-numpy.py .build/release/backtrail

Needs numpy. Trains small models on the embedded digits, exports the initial state and every order's iterate, prints
the batches, and replays them here from DESIGN's table of orders, knowing nothing of Backtrail's code. Ends with 1 if a
weight differs by more than 2e-4 of its tensor's largest.
"""

import gzip
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

TOLERANCE = 2e-4
STEPS = 30


def down(first, last):
    return list(range(first, last - 1, -1))


def up(first, last):
    return list(range(first, last + 1))


def flipflop(size, n):
    batches = []
    for start in range(0, n, size):
        batches += up(start + 1, start + size) + down(start + size, start + 1)
    return batches[:n]


def blocks(size, n):
    starts = range(0, n, size)
    return [j for start in reversed(starts) for j in up(start + 1, min(n, start + size))]


def sliding(size, n, window):
    return [j for k in range(1, n + 1) for j in window(max(1, k - size + 1), k)]


ORDERS = {
    "forward": lambda n: up(1, n),
    "backward": lambda n: down(n, 1),
    "tail:7": lambda n: up(8, n) + down(7, 1),
    "splice:7": lambda n: up(1, n - 7) + down(7, 1),
    "window:7": lambda n: up(1, n - 7) + down(n, n - 6),
    "sliding:3": lambda n: sliding(3, n, lambda low, high: down(high, low)),
    "sliding-forward:3": lambda n: sliding(3, n, up),
    "flipflop:4": lambda n: flipflop(4, n),
    "blocks:8": lambda n: blocks(8, n),
}


def read_digits():
    """Training images / 16 and labels, from the packed resource: 1,797 records of 64 pixels and a label."""
    resource = Path(__file__).parent.parent / "Sources/Datasets/Resources/digits.bin.gz"
    records = numpy.frombuffer(gzip.decompress(resource.read_bytes()), dtype=numpy.uint8).reshape(1797, 65)
    training = records[numpy.arange(1797) % 5 != 0]
    return training[:, :64] / 16.0, training[:, 64].astype(int)


def read_safetensors(path):
    raw = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            data = numpy.frombuffer(raw[8 + length + begin : 8 + length + end], dtype="<f4")
            tensors[name] = data.reshape(entry["shape"]).astype(numpy.float64)
    return tensors


def update(parameters, inputs, labels, rate):
    """One step of SGD on the mean cross-entropy of a perceptron with ReLU."""
    count = len(parameters) // 2
    activations = [inputs]
    for layer in range(count):
        y = activations[-1] @ parameters[f"{2 * layer}.weight"].T + parameters[f"{2 * layer}.bias"]
        activations.append(numpy.maximum(y, 0) if layer < count - 1 else y)
    logits = activations[-1]
    gradient = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    gradient /= gradient.sum(axis=1, keepdims=True)
    gradient[numpy.arange(len(labels)), labels] -= 1
    gradient /= len(labels)
    updated = {}
    for layer in reversed(range(count)):
        weight = parameters[f"{2 * layer}.weight"]
        updated[f"{2 * layer}.weight"] = weight - rate * gradient.T @ activations[layer]
        updated[f"{2 * layer}.bias"] = parameters[f"{2 * layer}.bias"] - rate * gradient.sum(axis=0)
        gradient = (gradient @ weight) * (activations[layer] > 0)
    return updated


def main():
    backtrail = sys.argv[1]
    images, labels = read_digits()
    worst = 0.0

    def call(*arguments):
        return subprocess.run([backtrail, *arguments], check=True, capture_output=True, text=True).stdout

    for model in ["linear", "mlp:32", "mlp:24,16"]:
        for sampler in ["shuffle", "replacement"]:
            with tempfile.TemporaryDirectory() as folder:
                run = f"{folder}/run"
                orders = [word for order in ORDERS for word in ("--order", order)]
                call(
                    "train", "--json", "--out", run, "--model", model, "--sampler", sampler, *orders,
                    "--steps", str(STEPS), "--evaluate", f"at:{STEPS}", "--batch-size", "16",
                    "--learning-rate", "0.1", "--evaluation-examples", "64",
                )
                batches = [[int(word) for word in line.split()] for line in call("batches", run).splitlines()]
                call("export", run, "--order", "forward", "--iterate", "0", "--to", f"{folder}/0.safetensors")
                initial = read_safetensors(f"{folder}/0.safetensors")
                for order, sequence in ORDERS.items():
                    path = f"{folder}/{order.replace(':', '-')}.safetensors"
                    call("export", run, "--order", order, "--iterate", str(STEPS), "--to", path)
                    found = read_safetensors(path)
                    expected = initial
                    for j in sequence(STEPS):
                        batch = batches[j - 1]
                        expected = update(expected, images[batch], labels[batch], 0.1)
                    error = max(
                        numpy.abs(found[name] - expected[name]).max() / numpy.abs(expected[name]).max()
                        for name in expected
                    )
                    worst = max(worst, error)
                    print(f"{model:10} {sampler:12} {order:18} {len(sequence(STEPS)):4} updates  relative error {error:.1e}")
    print(f"worst {worst:.1e}, allowed {TOLERANCE:.0e}")
    sys.exit(worst > TOLERANCE)


main()
