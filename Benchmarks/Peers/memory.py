"""Compare time and memory of an update between Backtrail's budgets and PyTorch's ways to save memory, in turn in one run.

    pip install -r requirements.txt
    python memory.py BACKTRAIL --cifar DIR [--only WORK ...] [--repetitions 3]

Every measurement is a process of its own, with one thread. Program and libraries are counted separately: for PyTorch a process that
only imports it, for Backtrail one that only prints its version of help. What is left is data, state, activations and workspace; both
sides have the same images in memory. Times are of an update alone, after warming up.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

WORKS = {
    "resnet18": dict(title="ResNet-18, batch 64, plain SGD", batch=64, budgets=[350, 250, 200]),
    "resnet50": dict(title="ResNet-50, batch 32, plain SGD", batch=32, budgets=[700, 550, 400, 300]),
}

VARIANTS = ["eager", "segments-2", "segments-4", "segments-8", "compile-1.0", "compile-0.5", "compile-0.2"]
UPDATES = 4


def sequential(torch, torchvision, name):
    """torchvision's network with the stem for small images, as a sequence of its blocks."""
    from torch import nn

    model = getattr(torchvision.models, name)(num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    blocks = [nn.Sequential(model.conv1, model.bn1, model.relu)]
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        blocks += list(layer)
    return nn.Sequential(*blocks, nn.Sequential(model.avgpool, nn.Flatten(), model.fc))


def worker(name, variant):
    import torch
    import torchvision
    from torch.utils.checkpoint import checkpoint_sequential

    libraries = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if variant == "import":
        return print(json.dumps({"libraries": libraries}))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch = WORKS[name]["batch"]
    # As many bytes as Backtrail keeps of CIFAR-10's 12,000 images.
    images = torch.randint(0, 256, (12_000, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (12_000,))
    model = sequential(torch, torchvision, name)
    kind, _, value = variant.partition("-")
    compute = model
    if kind == "segments":
        compute = lambda x: checkpoint_sequential(model, int(value), x, use_reentrant=False)
    elif kind == "compile":
        import torch._functorch.config

        torch._functorch.config.activation_memory_budget = float(value)
        compute = torch.compile(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step(index):
        chosen = slice(index * batch, (index + 1) * batch)
        x = images[chosen].float() / 255
        loss = torch.nn.functional.cross_entropy(compute(x), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step(0)
    begin = time.perf_counter()
    for index in range(1, 1 + UPDATES):
        step(index)
    seconds = (time.perf_counter() - begin) / UPDATES
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def measure_peer(name, variant, seconds=900):
    environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--worker", name, variant], capture_output=True, text=True, env=environment, timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def program_bytes(binary):
    """The resident peak of a process that does nothing but start."""
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], capture_output=True); " \
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    return int(subprocess.run([sys.executable, "-c", script, binary, "--help"], capture_output=True, text=True).stdout)


def measure_backtrail(binary, name, cifar, budget):
    def run(steps):
        with tempfile.TemporaryDirectory() as folder:
            command = [
                binary, "train", "--data", f"cifar10:{cifar}", "--model", name, "--batch-size", str(WORKS[name]["batch"]), "--steps",
                str(steps), "--order", "forward", "--evaluate", f"at:{steps}", "--evaluation-examples", "32", "--lanes", "1",
                "--learning-rate", "0.01", "--average", "none", "--checkpoint-every", "0", "--json", "--out", f"{folder}/run",
            ] + (["--memory-budget", f"{budget}MiB"] if budget else [])
            done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        return json.loads(done.stdout)

    few, many = run(1), run(1 + UPDATES)
    return {"seconds": (many["wallSeconds"] - few["wallSeconds"]) / UPDATES, "peak": many["peakResidentBytes"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("backtrail")
    parser.add_argument("--cifar", required=True)
    parser.add_argument("--only", nargs="*", choices=WORKS)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    mebibyte = 2**20
    for name, work in WORKS.items():
        if options.only and name not in options.only:
            continue
        libraries = measure_peer(name, "import")["libraries"]
        program = program_bytes(options.backtrail)
        print(f"{work['title']}; PyTorch and its libraries {libraries / mebibyte:.0f} MiB, Backtrail {program / mebibyte:.0f} MiB\n")
        kinds = [("Backtrail", budget) for budget in [None] + work["budgets"]] + [("PyTorch", variant) for variant in VARIANTS]
        found = {}
        for _ in range(options.repetitions):
            for kind in list(kinds):
                library, variant = kind
                measured = (
                    measure_backtrail(options.backtrail, name, options.cifar, variant) if library == "Backtrail"
                    else measure_peer(name, variant))
                if measured is None:
                    print(f"PyTorch {variant}: does not run here")
                    kinds.remove(kind)
                else:
                    found.setdefault(kind, []).append(measured)
        print("| | peak | without program and libraries | seconds an update | of its own fastest |\n| --- | --- | --- | --- | --- |")
        times = {kind: statistics.median(one["seconds"] for one in all) for kind, all in found.items()}
        for kind, all in found.items():
            library, variant = kind
            peak = max(one["peak"] for one in all)
            fastest = min(seconds for other, seconds in times.items() if other[0] == library)
            label = f"Backtrail, {'no budget' if variant is None else f'{variant} MiB'}" if library == "Backtrail" else f"PyTorch, {variant}"
            own = program if library == "Backtrail" else libraries
            print(
                f"| {label} | {peak / mebibyte:.0f} MiB | {(peak - own) / mebibyte:.0f} MiB | {times[kind]:.3f} | "
                f"{times[kind] / fastest:.2f} |", flush=True)
        print(flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        worker(*sys.argv[2:])
    else:
        main()
