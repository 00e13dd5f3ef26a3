"""Passes models between PyTorch and Backtrail, both ways.

    python3 Scripts/compare-with-pytorch.py .build/release/backtrail CIFAR10-FOLDER TEXT-FILE

Needs torch and safetensors; with torchvision, ResNet-18 is its own with a stem for small images. A state dict made by
PyTorch goes in with --initial; a trained one comes out with export, is loaded with load_state_dict(strict=True), and
must give Backtrail's test loss in evaluation mode. Ends with 1 if one of them differs.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent.parent / "Tests/Fixtures"))
from make_parity import GPT, BasicBlock, ResNet  # noqa: E402

TOLERANCE = 1e-5
EXAMPLES = 128


def resnet18():
    try:
        import torchvision
    except ImportError:
        return ResNet(BasicBlock, [2, 2, 2, 2], 64, 3, 10)
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    model.maxpool = torch.nn.Identity()
    return model


def backtrail(*arguments):
    output = subprocess.run([sys.argv[1], *arguments, "--json"], capture_output=True, text=True)
    if output.returncode:
        sys.exit(f"{' '.join(arguments)}: {output.stderr}")
    return json.loads(output.stdout)


def cifar_test(folder):
    path = Path(folder) / "test_batch.bin"
    data = path.read_bytes() if path.exists() else gzip.open(f"{path}.gz").read()
    records = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(-1, 3073)
    return records[:, 1:].view(-1, 3, 32, 32).float() / 255, records[:, 0].long()


def text_test(path, context):
    text = Path(path).read_text()
    characters = {c: i for i, c in enumerate(sorted(set(text)))}
    ids = torch.tensor([characters[c] for c in text[len(text) * 9 // 10 :]])
    count = (len(ids) - 1) // context
    return ids[: count * context].view(count, context), ids[1 : count * context + 1].view(count, context)


def compare(name, model, data, specification, inputs, labels):
    # Every test example is evaluated: which ones a part holds is Backtrail's own choice.
    with tempfile.TemporaryDirectory() as folder:
        initial, run = f"{folder}/initial.safetensors", f"{folder}/run"
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, initial)
        result = backtrail(
            *("train", "--data", data, "--model", specification, "--initial", initial, "--out", run),
            *("--order", "backward", "--steps", "3", "--evaluate", "at:3", "--batch-size", "8", "--learning-rate", "0.01"),
            *("--optimizer", "adam", "--checkpoint-every", "0"),
        )
        for n, expected in ((0, None), (3, result["orders"][0]["iterates"][0]["testLoss"])):
            file = f"{folder}/{n}.safetensors"
            document = backtrail("export", run, "--order", "backward", "--iterate", str(n), "--to", file)
            expected = document["testLoss"] if expected is None else expected
            tensors = load_file(file)
            if n == 0 and any(not torch.equal(tensors[k].to(v.dtype), v) for k, v in model.state_dict().items()):
                sys.exit(f"{name}: the initial state did not come back as it was given")
            model.load_state_dict(tensors, strict=True)
            model.eval()
            with torch.no_grad():
                losses = [
                    F.cross_entropy(model(x).flatten(0, -2), y.flatten(), reduction="sum")
                    for x, y in zip(inputs.split(EXAMPLES), labels.split(EXAMPLES))
                ]
            found = float(sum(losses)) / labels.numel()
            print(f"{name}, backward iterate {n}: test loss {expected:.7f} by Backtrail, {found:.7f} by PyTorch")
            if abs(found - expected) > TOLERANCE * max(1, abs(expected)):
                sys.exit(f"{name}: the losses differ")


def main():
    torch.manual_seed(0)
    cifar, text = sys.argv[2:4]
    compare("resnet18", resnet18(), f"cifar10:{cifar}", "resnet18", *cifar_test(cifar))
    inputs, labels = text_test(text, 32)
    vocabulary = len(set(Path(text).read_text()))
    model = GPT(2, 2, 32, 32, vocabulary)
    compare("gpt", model, f"text:{text}", "gpt:layers=2,heads=2,width=32,context=32", inputs, labels)


main()
