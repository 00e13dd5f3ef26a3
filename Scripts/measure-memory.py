#!/usr/bin/env python3
"""Compares the predicted peak of memory with the real one, for configurations from small to larger than memory.

    Scripts/measure-memory.py BACKTRAIL DATA [--only TEXT]

DATA has the folders mnist and cifar10 and the file text/tinyshakespeare.txt. Each configuration is trained for a few updates within a
budget, once as it is, and once in a control group that may be charged for exactly the budget and has no swap. A line each: the budget,
the predicted peak, the real one, their ratio, what the group was charged for at most, and whether both runs have the same digests as
the one without a budget. Needs root for the control groups; without them that column is empty.
"""

import argparse
import array
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

GROUPS = [
    ("/sys/fs/cgroup", "memory.max", "memory.swap.max", "memory.peak"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max_usage_in_bytes"),
]

MNIST = "--data mnist:{data}/mnist --evaluation-examples 200"
CIFAR = "--data cifar10:{data}/cifar10 --evaluation-examples 100"
TEXT = "--data text:{data}/text/tinyshakespeare.txt --evaluation-examples 20"
TOKENS = "--data tokens:{tokens} --evaluation-examples 4"

# Options, and budgets in MiB; "least" for the least there is.
CONFIGURATIONS = [
    (f"{MNIST} --model mlp:128 --order backward --lanes 2", ["least", 200]),
    (f"{MNIST} --model mlp:1500,1500 --optimizer adamw --order forward", ["least", 240, 300, 400]),
    (f"{MNIST} --model mlp:2000,2000 --order backward --order tail:2 --lanes 2 --average none", ["least", 200]),
    (f"{MNIST} --model lenet --batch-size 512 --order forward", ["least", 110, 160]),
    (f"{CIFAR} --model resnet18:16 --batch-size 64 --order forward --average none", ["least", 120, 140]),
    (f"{CIFAR} --model resnet18 --batch-size 64 --order forward --average none", ["least", 250, 350]),
    (f"{CIFAR} --model resnet18:32 --batch-size 16 --order backward --lanes 2 --optimizer momentum:0.9", ["least", 160]),
    (f"{CIFAR} --model resnet50:16 --batch-size 32 --order forward --checkpoint-every 2", ["least", 180]),
    (f"{TEXT} --model gpt --batch-size 64 --optimizer adamw --order forward", ["least", 80, 120]),
    (f"{TEXT} --model gpt:layers=8,heads=8,width=256,context=256 --batch-size 16 --optimizer adamw --order forward", ["least", 150, 300]),
    (f"{TEXT} --model gpt:layers=8,heads=8,width=256,context=128 --batch-size 8 --activation-precision bfloat16 --order window:2",
     ["least", 130]),
    (f"{TOKENS} --model gpt2:context=128 --batch-size 2 --order forward --average none", ["least", 400, 700]),
]


def tokens(folder):
    """Writes token streams of nanoGPT's form, with the same bytes every time."""
    draw = random.Random(1)
    for name, count in [("train", 200_000), ("val", 20_000)]:
        numbers = array.array("H", (draw.randrange(50257) for _ in range(count)))
        pathlib.Path(folder, f"{name}.bin").write_bytes(numbers.tobytes())


def run(command, group=None):
    """Runs a command, in a control group if one is given, and returns its status, output and errors."""
    def join():
        pathlib.Path(group, "cgroup.procs").write_text(str(os.getpid()))
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=join if group else None)
    return done.returncode, done.stdout, done.stderr


def limited(command, budget):
    """Runs a command in a group of its own. Returns status, output and the most that it was charged for, in bytes."""
    for parent, limit, swap, peak in GROUPS:
        path = pathlib.Path(parent, f"backtrail-{os.getpid()}")
        try:
            if not pathlib.Path(parent, "cgroup.procs").exists():
                continue
            path.mkdir()
            pathlib.Path(path, limit).write_text(str(budget))
        except OSError:
            continue
        try:
            pathlib.Path(path, swap).write_text(str(budget if "memsw" in swap else 0))
        except OSError:
            pass
        status, output, _ = run(command, str(path))
        charged = int(pathlib.Path(path, peak).read_text())
        path.rmdir()
        return status, output, charged
    return None


def digests(output):
    return [iterate["digest"] for order in json.loads(output)["orders"] for iterate in order["iterates"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backtrail")
    parser.add_argument("data")
    parser.add_argument("--only", default="", help="configurations with this text in them")
    given = parser.parse_args()
    failures = 0
    print("| configuration | budget | predicted | peak | ratio | charged in a group | same digests |\n| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        tokens(folder)
        for options, budgets in CONFIGURATIONS:
            if given.only not in options:
                continue
            train = [given.backtrail, "train", "--steps", "4", "--evaluate", "every:2", "--json"]
            train += options.format(data=given.data, tokens=folder).split()
            free = run(train + ["--out", f"{folder}/free"])
            subprocess.run(["rm", "-rf", f"{folder}/free"], check=True)
            for budget in budgets:
                if budget == "least":
                    refusal = run(train + ["--memory-budget", "8MiB", "--out", f"{folder}/refused"])[2]
                    budget = int(refusal.split("can do with is ")[1].split("MiB")[0])
                command = train + ["--memory-budget", f"{budget}MiB"]
                status, output, errors = run(command + ["--out", f"{folder}/run"])
                if status != 0:
                    subprocess.run(["rm", "-rf", f"{folder}/run"], check=True)
                    print(f"| `{options}` | {budget} | {errors.strip()} |", flush=True)
                    failures += 1
                    continue
                found = json.loads(output)
                peak, predicted = found["peakResidentBytes"] / 2**20, found["predictedPeakBytes"] / 2**20
                same = digests(output) == digests(free[1])
                group = limited(command + ["--out", f"{folder}/limited"], budget << 20)
                charged = "" if group is None else f"{group[2] / 2**20:.1f}" if group[0] == 0 else f"status {group[0]}"
                same = same and (group is None or group[0] == 0 and digests(group[1]) == digests(free[1]))
                is_kept = peak <= min(budget, predicted) and same
                failures += not is_kept
                subprocess.run(["rm", "-rf", f"{folder}/run", f"{folder}/limited"], check=True)
                words = options.replace("--data ", "").replace("{data}/", "").replace("{tokens}", "")
                print(
                    f"| `{words}` | {budget} | {predicted:.1f} | {peak:.1f} | {predicted / peak:.3f} | {charged} | "
                    f"{'yes' if same else 'NO'}{'' if is_kept else ' BROKEN'} |", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
