"""Calls `backtrail`, and keeps what it printed, so that an interrupted measurement goes on where it stopped."""
import json
import shutil
import subprocess
import sys
import time
from array import array
from pathlib import Path

# What 'backtrail' ends with where a configuration is impossible, divergence of its updates among other reasons.
IMPOSSIBLE = 78


class Diverged(Exception):
    """The updates of a run, or of all pairs of a contraction study, do not stay finite."""


class Backtrail:
    """The command and the folder of its runs.

    A result is stored with the command that gave it. The same command takes it from there, so that remeasuring needs another folder.
    """

    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = Path(folder)
        self.seconds = 0.0
        self.evaluations = 0
        (self.folder / "results").mkdir(parents=True, exist_ok=True)

    def train(self, name, options, keep=True):
        """The document of `train --json`. Without `keep` the run's folder is removed."""
        run = self.folder / "runs" / name
        document, fresh = self._document(name, ["train", *options, "--out", str(run)], before=lambda: remove(run))
        if fresh and not keep:
            remove(run)
        return document

    def contraction(self, run, seed, options):
        """The document of `contraction RUN --json`."""
        arguments = ["contraction", str(self.folder / "runs" / run), "--seed", str(seed), *options]
        return self._document(f"{run}-contraction-{seed}", arguments, before=lambda: self.bring_back(run))[0]

    def weights(self, run, seed, order, n):
        """The parameters of an iterate, without running statistics, one after the other."""
        self.bring_back(run)
        path = self.folder / "exported.safetensors"
        arguments = ["export", self.path(run), "--seed", str(seed), "--order", order, "--iterate", str(n), "--to", str(path)]
        path.unlink(missing_ok=True)
        finished = subprocess.run([self.binary, *arguments], capture_output=True, text=True)
        if finished.returncode:
            sys.exit(f"backtrail {' '.join(arguments)}: {finished.stderr}")
        data = path.read_bytes()
        path.unlink()
        return read_weights(data)

    def stored(self, name, compute):
        """A value that is computed once."""
        path = self.folder / "results" / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(compute()))
        return json.loads(path.read_text())

    def bring_back(self, run):
        """Trains a run again whose results are stored and whose folder has been removed: to the same bits."""
        if not (self.folder / "runs" / run).exists():
            command = json.loads((self.folder / "results" / f"{run}.json").read_text())["command"]
            subprocess.run([self.binary, *command, "--json"], stdout=subprocess.DEVNULL, check=True)

    def remove(self, run):
        remove(self.folder / "runs" / run)

    def path(self, run):
        return str(self.folder / "runs" / run)

    def print_plan(self, options):
        """Shows what a run would cost."""
        print("backtrail plan " + " ".join(options), flush=True)
        subprocess.run([self.binary, "plan", *options], check=True)

    def _document(self, name, arguments, before=lambda: None):
        stored = self.folder / "results" / f"{name}.json"
        if stored.exists():
            known = json.loads(stored.read_text())
            if known["command"] == arguments:
                return self._result(known), False
        before()
        begin = time.monotonic()
        finished = subprocess.run([self.binary, *arguments, "--json"], capture_output=True, text=True)
        seconds = time.monotonic() - begin
        known = {"command": arguments, "seconds": seconds}
        if finished.returncode == IMPOSSIBLE and "diverge" in finished.stderr:
            known["diverged"] = finished.stderr.strip().splitlines()[-1]
        elif finished.returncode:
            sys.exit(f"backtrail {' '.join(arguments)}: {finished.stderr}")
        else:
            known["document"] = json.loads(finished.stdout)
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(json.dumps(known))
        return self._result(known), True

    def _result(self, known):
        self.seconds += known["seconds"]
        if "diverged" in known:
            raise Diverged(known["diverged"])
        self.evaluations += known["document"]["gradientEvaluations"]
        return known["document"]


def read_weights(data):
    """The float32 tensors of a safetensors file in the order of their names, but for a normalisation's running statistics."""
    length = int.from_bytes(data[:8], "little")
    tensors = json.loads(data[8 : 8 + length])
    values = array("f")
    for name in sorted(tensors):
        if name == "__metadata__" or "running_" in name or tensors[name]["dtype"] != "F32":
            continue
        first, last = tensors[name]["data_offsets"]
        values.frombytes(data[8 + length + first : 8 + length + last])
    return values


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)


def find_data(folder, kinds):
    """The data specification of the first of some kinds that a folder has, such as `mnist:DIR/fashion-mnist`."""
    for kind, names in kinds:
        for name in names:
            path = Path(folder) / name
            if path.is_dir():
                return f"{kind}:{path}", name
    wanted = ", ".join(name for _, names in kinds for name in names)
    sys.exit(f"{folder} has none of {wanted}")


MNIST = ("mnist", ["mnist", "MNIST/raw"])
FASHION = ("mnist", ["fashion-mnist", "fashion_mnist", "FashionMNIST/raw"])
CIFAR10 = ("cifar10", ["cifar10", "cifar-10-batches-bin"])
CIFAR100 = ("cifar100", ["cifar100", "cifar-100-binary"])
