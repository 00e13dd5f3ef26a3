"""Time an update of Backtrail, PyTorch and JAX on the same work, in turn in one run.

    pip install -r requirements.txt
    python updates.py BACKTRAIL [--mnist DIR] [--cifar DIR] [--text FILE] [--only WORK ...] [--repetitions 5] [--simd avx2]

Each measurement is a process of its own, or two at once, one a core. Backtrail runs `train --order backward` on two lanes; its
time is the whole run's, data read and first observation to last row in the database, over its gradient evaluations. The peers'
updates are timed alone, for as long, after warming up: data in memory, compilation done. All variants of a library are
tried once; the fastest takes part in the repetitions. Ratios are of medians, with the least and the largest of the
repetitions' own.

The limit is the work's multiply-adds at the rate of a large single-precision matrix product, the faster of NumPy's and
PyTorch's, on both cores.
"""
import argparse
import gzip
import json
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 3.0
VOCABULARY = 65

# model, batch, multiply-adds of an update over an example's forward pass ×3 (forward, ∂ input, ∂ weights; the first layer has no
# ∂ input), Backtrail's options.
WORKS = {
    "mlp-mnist": dict(
        title="MLP 784-128-10, batch 8, MNIST", kind="mlp", widths=[784, 128, 10], batch=8, data="mnist",
        options="--model mlp:128 --steps 40000 --evaluate every:10000"),
    "mlp-dense": dict(
        title="the same, no zero pixels", kind="mlp", widths=[784, 128, 10], batch=8, data="dense",
        options="--model mlp:128 --steps 40000 --evaluate every:10000"),
    "mlp-wide": dict(
        title="MLP 784-512-512-10, batch 32, MNIST", kind="mlp", widths=[784, 512, 512, 10], batch=32, data="mnist",
        options="--model mlp:512,512 --steps 4000 --evaluate every:1000"),
    "resnet18": dict(
        title="ResNet-18, batch 8, CIFAR-10", kind="resnet18", batch=8, data="cifar",
        options="--model resnet18 --steps 40 --evaluate every:10"),
    "gpt": dict(
        title="GPT 4×128, context 64, batch 12", kind="gpt", batch=12, data="text",
        options="--model gpt --steps 160 --evaluate every:40 --optimizer adamw --learning-rate 0.001"),
}

# library, variant, processes
VARIANTS = {
    "mlp": [
        ("torch", "eager", 1), ("torch", "eager", 2), ("torch", "compile", 2), ("jax", "scan", 1), ("jax", "scan", 2),
        ("jax", "vmap-4", 2), ("jax", "vmap-16", 1), ("jax", "vmap-16", 2),
    ],
    "resnet18": [
        ("torch", "eager", 1), ("torch", "eager", 2), ("torch", "channels-last", 1), ("torch", "channels-last", 2),
        ("torch", "compile", 1), ("torch", "compile", 2),
    ],
    "gpt": [("torch", "eager", 1), ("torch", "eager", 2), ("torch", "compile", 1), ("torch", "compile", 2)],
}


# How each library is kept to AVX2; OpenBLAS, which NumPy uses, has kernels for it under this name.
AVX2_ONLY = {
    "BACKTRAIL_SIMD": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2", "OPENBLAS_CORETYPE": "Haswell",
}


def read_idx(path):
    import numpy as np

    data = gzip.open(path).read()
    rank = data[3]
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def find(folder, *names):
    for name in names:
        for path in sorted(Path(folder).rglob(name + "*")):
            return path
    raise SystemExit(f"{folder} has no {names[0]}")


def write_dense(folder):
    """A data set in MNIST's format without a zero."""
    import numpy as np

    random = np.random.default_rng(0)
    for name, count in (("train", 60000), ("t10k", 10000)):
        images = random.integers(1, 256, (count, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        Path(folder, f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, count, 28, 28) + images.tobytes())
        Path(folder, f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, count) + labels.tobytes())


# The peers' side: a process that builds the work, warms up, says so, waits, and runs for a time.


def examples(work, folder):
    """float32 examples and integer labels in memory."""
    import numpy as np

    random = np.random.default_rng(1)
    if work["data"] == "mnist":
        images = read_idx(find(folder, "train-images")).reshape(-1, 784)
        return images.astype(np.float32) / 255, read_idx(find(folder, "train-labels")).astype(np.int64)
    if work["data"] == "dense":
        return random.integers(1, 256, (60000, 784)).astype(np.float32) / 255, random.integers(0, 10, 60000)
    if work["data"] == "cifar":
        return random.standard_normal((2000, 3, 32, 32), dtype=np.float32), random.integers(0, 10, 2000)
    text = random.integers(0, VOCABULARY, (2000, 65))
    return text[:, :-1], text[:, 1:]


def torch_step(work, variant, folder, threads):
    import numpy as np
    import torch
    from torch import nn
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    inputs, labels = (torch.from_numpy(np.ascontiguousarray(x)) for x in examples(work, folder))
    if work["kind"] == "mlp":
        layers = []
        for a, b in zip(work["widths"], work["widths"][1:]):
            layers += [nn.Linear(a, b), nn.ReLU()]
        model = nn.Sequential(*layers[:-1])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        loss_of = lambda x, y: F.cross_entropy(model(x), y)
    elif work["kind"] == "resnet18":
        import torchvision

        model = torchvision.models.resnet18(num_classes=10)
        model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        model.maxpool = nn.Identity()
        if variant == "channels-last":
            model = model.to(memory_format=torch.channels_last)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        loss_of = lambda x, y: F.cross_entropy(model(x), y)
    else:
        model = gpt(torch, nn, F)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.001, fused=True)
        loss_of = lambda x, y: F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    if variant == "compile":
        loss_of = torch.compile(loss_of)
    order = torch.randperm(len(inputs))
    batch, position = work["batch"], 0

    def step():
        nonlocal position
        if position + batch > len(order):
            position = 0
        chosen = order[position : position + batch]
        position += batch
        loss = loss_of(inputs[chosen], labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, 1


def gpt(torch, nn, F, layers=4, heads=4, width=128, context=64):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            b, t, _ = x.shape
            q, k, v = (
                part.view(b, t, heads, width // heads).transpose(1, 2)
                for part in self.attention(self.ln_1(x)).split(width, dim=2)
            )
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, width)
            x = x + self.projection(y)
            return x + self.down(F.gelu(self.up(self.ln_2(x))))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(VOCABULARY, width), nn.Embedding(context, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, VOCABULARY, bias=False)

        def forward(self, x):
            return self.head(self.norm(self.blocks(self.tokens(x) + self.positions.weight)))

    return GPT()


def jax_step(work, variant, folder, threads):
    if threads == 1:
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    import jax
    import jax.numpy as jnp
    import numpy as np

    inputs, labels = examples(work, folder)
    inputs, labels = jnp.asarray(inputs), jnp.asarray(labels)
    random = np.random.default_rng(0)
    widths, batch = work["widths"], work["batch"]
    state = [
        (jnp.asarray(random.standard_normal((a, b), dtype=np.float32) * (2 / a) ** 0.5), jnp.zeros(b))
        for a, b in zip(widths, widths[1:])
    ]

    def loss(state, x, y):
        for w, b in state[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = state[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(x @ w + b), y[:, None], 1).mean()

    def update(state, chosen):
        gradient = jax.grad(loss)(state, inputs[chosen], labels[chosen])
        return jax.tree.map(lambda p, g: p - 0.05 * g, state, gradient), None

    length = 100
    batches = jnp.asarray(random.integers(0, len(labels), (length, batch)))
    if variant == "scan":
        run = jax.jit(lambda state: jax.lax.scan(update, state, batches)[0], donate_argnums=0)
        count = 1
    else:
        # Trajectories that apply the same batches from different states, as the iterates of a backward curve do at
        # their common end.
        count = int(variant.split("-")[1])
        state = jax.tree.map(lambda p: jnp.stack([p] * count), state)
        many = jax.vmap(update, in_axes=(0, None), out_axes=(0, None))
        run = jax.jit(lambda state: jax.lax.scan(many, state, batches)[0], donate_argnums=0)

    def step():
        nonlocal state
        state = run(state)
        jax.block_until_ready(state)

    return step, length * count


def worker(arguments):
    work, library, variant, folder, threads = arguments
    make = torch_step if library == "torch" else jax_step
    step, updates = make(WORKS[work], variant, folder, int(threads))
    for _ in range(5):
        step()
    print("ready", flush=True)
    sys.stdin.readline()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < SECONDS:
        step()
        count += updates
    seconds = time.perf_counter() - begin
    print(json.dumps({"rate": count / seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def measure_peer(name, library, variant, processes, folders):
    """Seconds an update and the largest process's peak bytes."""
    threads = 1 if processes > 1 else os.cpu_count()
    command = [sys.executable, __file__, "--worker", name, library, variant, str(folders[WORKS[name]["data"]]), str(threads)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    running = []
    for index in range(processes):
        pin = ["taskset", "-c", str(index)] if processes > 1 else []
        running.append(
            subprocess.Popen(
                pin + command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env=environment))
    for process in running:
        if process.stdout.readline().strip() != "ready":
            return None
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [json.loads(process.communicate()[0]) for process in running]
    return 1 / sum(r["rate"] for r in results), sum(r["peak"] for r in results)


def measure_backtrail(name, binary, folders, lanes=2):
    work = WORKS[name]
    data = {"mnist": "mnist:", "dense": "mnist:", "cifar": "cifar10:", "text": "text:"}[work["data"]] + str(folders[work["data"]])
    with tempfile.TemporaryDirectory() as folder:
        command = [
            binary, "train", "--data", data, "--batch-size", str(work["batch"]), "--order", "backward", "--lanes", str(lanes),
            "--evaluation-examples", "10", "--checkpoint-every", "0", "--average", "none", "--json", "--out", f"{folder}/run",
        ] + work["options"].split()
        finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        raise SystemExit(finished.stderr)
    result = json.loads(finished.stdout)
    return result["wallSeconds"] / result["gradientEvaluations"], result["peakResidentBytes"]


def limit_rate():
    """Multiply-adds a second of a large product on one core: the faster of NumPy's and PyTorch's."""
    script = """
import time, sys
def best(f):
    f(); least = 1e9
    for _ in range(8):
        t = time.perf_counter(); f(); least = min(least, time.perf_counter() - t)
    return 1024 ** 3 / least
import numpy as np; a = np.ones((1024, 1024), np.float32); print(best(lambda: a @ a))
import torch; torch.set_num_threads(1); b = torch.ones(1024, 1024); print(best(lambda: b @ b))
"""
    environment = dict(os.environ)
    environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    lines = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment).stdout.split()
    return max(map(float, lines))


def multiply_adds(work):
    """Of one update."""
    batch = work["batch"]
    if work["kind"] == "mlp":
        pairs = list(zip(work["widths"], work["widths"][1:]))
        return batch * sum(a * b * (2 if i == 0 else 3) for i, (a, b) in enumerate(pairs))
    if work["kind"] == "resnet18":
        total = 32 * 32 * 9 * 3 * 64 * 2
        channels, size = 64, 32
        for group in (64, 128, 256, 512):
            for block in range(2):
                stride = 2 if group != 64 and block == 0 else 1
                size //= stride
                total += 3 * size * size * 9 * group * (channels + group)
                if channels != group:
                    total += 3 * size * size * channels * group
                channels = group
        return batch * (total + 3 * 512 * 10)
    width, context, layers = 128, 64, 4
    # Attention counts the half of its squares that is not masked, and its probabilities once.
    block = 12 * width * width + context * width
    return batch * context * 3 * (layers * block + width * VOCABULARY)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("backtrail")
    parser.add_argument("--mnist")
    parser.add_argument("--cifar")
    parser.add_argument("--text")
    parser.add_argument("--only", nargs="*", choices=WORKS)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--simd", choices=["avx2"], help="keep everybody to AVX2, on machines that have more")
    options = parser.parse_args()
    os.environ.pop("OPENBLAS_CORETYPE", None)
    if options.simd:
        os.environ.update(AVX2_ONLY)
    dense = tempfile.TemporaryDirectory()
    write_dense(dense.name)
    folders = {"mnist": options.mnist, "cifar": options.cifar, "text": options.text, "dense": dense.name}
    rate = limit_rate()
    print(f"a large matrix product: {2 * rate / 1e9:.0f} GFLOP/s on one core\n", flush=True)
    for name, work in WORKS.items():
        if (options.only and name not in options.only) or not folders[work["data"]]:
            continue
        print(work["title"])
        best = {}
        for library, variant, processes in VARIANTS[work["kind"]]:
            measured = measure_peer(name, library, variant, processes, folders)
            label = f"{library} {variant}, {processes} process{'es' if processes > 1 else ''}"
            if measured is None:
                print(f"  {label}: does not run here")
                continue
            print(f"  {label}: {measured[0] * 1e6:.1f} µs", flush=True)
            if library not in best or measured[0] < best[library][0]:
                best[library] = (measured[0], variant, processes, label)
        times = {"backtrail": []}
        peaks = {}
        for _ in range(options.repetitions):
            seconds, peaks["backtrail"] = measure_backtrail(name, options.backtrail, folders)
            times["backtrail"].append(seconds)
            for library, (_, variant, processes, _) in best.items():
                seconds, peaks[library] = measure_peer(name, library, variant, processes, folders)
                times.setdefault(library, []).append(seconds)
        ours = statistics.median(times["backtrail"])
        least = multiply_adds(work) / (os.cpu_count() * rate)
        print(f"  Backtrail, 2 lanes: {ours * 1e6:.1f} µs, {peaks['backtrail'] / 2**20:.0f} MiB; {least / ours:.2f} of the limit")
        for library, (_, _, _, label) in best.items():
            ratios = [b / a for a, b in zip(times["backtrail"], times[library])]
            theirs = statistics.median(times[library])
            print(
                f"  {label}: {theirs * 1e6:.1f} µs, {peaks[library] / 2**20:.0f} MiB; Backtrail takes 1/{theirs / ours:.2f} "
                f"of the time (1/{min(ratios):.2f} … 1/{max(ratios):.2f}), 1/{peaks[library] / peaks['backtrail']:.2f} of the memory")
        print(flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        worker(sys.argv[2:])
    else:
        main()
