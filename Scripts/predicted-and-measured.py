#!/usr/bin/env python3
"""Holds what `backtrail plan` predicts against what `backtrail train` then takes, over varied configurations.

    Scripts/predicted-and-measured.py BACKTRAIL MNIST_DIR CIFAR10_DIR TEXT_FILE

Prints a row a configuration: gradient evaluations, seconds, peak resident MiB and MiB on disk, predicted and measured. Exits with 1
where evaluations differ at all, seconds by more than a quarter, or peak memory by more than a tenth.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

MIB = 1 << 20


def configurations(mnist, cifar, text):
    digits = "--model mlp:128 --steps 2000"
    return {
        "digits, forward, backward, tail": f"{digits} --order forward --order backward --order tail:50 --evaluate every:50",
        "the same, one lane": f"{digits} --order forward --order backward --order tail:50 --evaluate every:50 --lanes 1",
        "digits, forward alone": f"{digits} --order forward --steps 60000 --evaluate every:5000",
        "MNIST, backward, batch 32": f"--data mnist:{mnist} --order backward --evaluate every:20",
        "MNIST, backward, batch 8": f"--data mnist:{mnist} --order backward --batch-size 8 --steps 4000 --evaluate every:100",
        "MNIST, tails and a window": f"--data mnist:{mnist} --order tail:50 --order window:50 --order sliding:4 --evaluate every:10",
        "MNIST, 3 seeds, checkpoints": f"--data mnist:{mnist} --order forward --order backward --seeds 3 --checkpoint-every 50",
        "MNIST, wide, one lane": f"--data mnist:{mnist} --model mlp:512,512 --order backward --steps 400 --lanes 1",
        "MNIST, lenet": f"--data mnist:{mnist} --model lenet --order backward --steps 200 --evaluate every:20 --evaluation-examples 1000",
        "CIFAR-10, resnet18": f"--data cifar10:{cifar} --model resnet18 --batch-size 8 --order backward --steps 30 --evaluate every:10 --evaluation-examples 256",
        "CIFAR-10, resnet18:16, budget": f"--data cifar10:{cifar} --model resnet18:16 --batch-size 32 --order forward --order backward --steps 40 --evaluate every:10 --evaluation-examples 256 --memory-budget 130MiB",
        "text, gpt, adamw": f"--data text:{text} --model gpt --batch-size 12 --order forward --order backward --optimizer adamw --learning-rate 0.001 --steps 150 --evaluate every:50 --evaluation-examples 200",
    }


def run(backtrail, *arguments):
    done = subprocess.run([backtrail, *arguments, "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)


def size(folder):
    return sum(file.stat().st_size for file in pathlib.Path(folder).rglob("*") if file.is_file())


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    backtrail = sys.argv[1]
    header = ["configuration", "evaluations", "predicted s", "s", "off", "predicted MiB", "MiB", "off", "predicted MiB on disk", "MiB"]
    print("| " + " | ".join(header) + " |\n|" + " --- |" + " ---: |" * (len(header) - 1))
    failures = []
    for name, options in configurations(*sys.argv[2:]).items():
        with tempfile.TemporaryDirectory() as folder:
            plan = run(backtrail, "plan", *options.split())
            result = run(backtrail, "train", *options.split(), "--out", f"{folder}/run")
            disk = size(f"{folder}/run")
        evaluations = plan["predictedGradientEvaluations"], result["gradientEvaluations"]
        seconds = plan["predictedWallSeconds"], result["wallSeconds"]
        peak = plan["predictedPeakBytes"], result["peakResidentBytes"]
        print(
            f"| {name} | {evaluations[1]:,} | {seconds[0]:.2f} | {seconds[1]:.2f} | {seconds[0] / seconds[1] - 1:+.0%} | "
            f"{peak[0] / MIB:.1f} | {peak[1] / MIB:.1f} | {peak[0] / peak[1] - 1:+.1%} | "
            f"{plan['predictedDiskBytes'] / MIB:.2f} | {disk / MIB:.2f} |",
            flush=True,
        )
        if evaluations[0] != evaluations[1]:
            failures.append(f"{name}: {evaluations[0]} evaluations predicted, {evaluations[1]} made")
        if abs(seconds[0] / seconds[1] - 1) > 0.25:
            failures.append(f"{name}: {seconds[0]:.2f} s predicted, {seconds[1]:.2f} s taken")
        if abs(peak[0] / peak[1] - 1) > 0.1:
            failures.append(f"{name}: {peak[0] / MIB:.1f} MiB predicted, {peak[1] / MIB:.1f} MiB taken")
    for failure in failures:
        print(failure, file=sys.stderr)
    sys.exit(1 if failures else 0)


main()
