"""Writes parity-*.safetensors: small models trained for five updates by PyTorch, for ParityTests.

A file holds, for one model:
  initial.NAME            the initial state dict, in bfloat16 so that files stay small
  inputs, labels          five batches: [update, example, ...], images with channels first
  OPTIMIZER.NAME          the state dict after five updates: at most SAMPLES evenly spaced values of the flattened
                          tensor, then its Euclidean norm
  OPTIMIZER.losses        the loss before each update

PyTorch computes in double precision.

Needs torch and safetensors: pip install torch safetensors
Run: python Tests/Fixtures/make_parity.py
"""

import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

SAMPLES = 20
UPDATES = 5

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.005, momentum=0.9, weight_decay=0.01),
    # A larger ε than the default: gradients that are zero but for rounding would become steps of random sign.
    "adam": lambda p: torch.optim.Adam(p, lr=0.002, eps=1e-4),
}
MORE_OPTIMIZERS = {
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.002, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1),
    "adam-decay": lambda p: torch.optim.Adam(p, lr=0.002, eps=1e-4, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.002, alpha=0.9, eps=1e-3),
}


class Perceptron(nn.Sequential):
    def __init__(self, inputs, hidden, classes):
        layers = [nn.Flatten()]
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        super().__init__(*layers, nn.Linear(inputs, classes))

    def state_dict(self, *arguments, **options):
        # Backtrail's model has no Flatten in front.
        plain = super().state_dict(*arguments, **options)
        return {f"{int(k.split('.')[0]) - 1}.{k.split('.')[1]}": v for k, v in plain.items()}


class LeNet(nn.Module):
    def __init__(self, channels, flat, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(flat, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = projection(inputs, width, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = projection(inputs, 4 * width, stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def projection(inputs, outputs, stride):
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """torchvision's, with the stem for small images."""

    def __init__(self, block, counts, width, channels, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for group, count in enumerate(counts):
            blocks = []
            for index in range(count):
                blocks.append(block(inputs, width << group, 2 if group and not index else 1))
                inputs = (width << group) * block.expansion
            setattr(self, f"layer{group + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.c_attn(x).split(width, 2)
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(width // self.heads)
        scores = scores.masked_fill(torch.ones(length, length).tril() == 0, -math.inf)
        return self.c_proj((scores.softmax(3) @ v).transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp.c_proj(F.gelu(self.mlp.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, layers, heads, width, context, vocabulary):
        super().__init__()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocabulary, width),
                "wpe": nn.Embedding(context, width),
                "h": nn.ModuleList(Block(width, heads) for _ in range(layers)),
                "ln_f": nn.LayerNorm(width),
            }
        )
        self.lm_head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids):
        x = self.transformer.wte(ids) + self.transformer.wpe.weight[: ids.shape[1]]
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))


def images(batch, shape, classes):
    return torch.randn(UPDATES, batch, *shape).bfloat16(), torch.randint(classes, (UPDATES, batch))


def windows(batch, context, vocabulary):
    return torch.randint(vocabulary, (UPDATES, batch, context)), torch.randint(vocabulary, (UPDATES, batch, context))


torch.manual_seed(0)
MODELS = {
    "mlp": (lambda: Perceptron(24, [7, 5], 4), images(6, (2, 4, 3), 4)),
    "lenet": (lambda: LeNet(2, 16, 4), images(6, (2, 14, 13), 4)),
    "resnet18": (lambda: ResNet(BasicBlock, [2, 2, 2, 2], 2, 3, 5), images(8, (3, 9, 10), 5)),
    "resnet50": (lambda: ResNet(Bottleneck, [3, 4, 6, 3], 2, 3, 5), images(8, (3, 9, 10), 5)),
    "gpt": (lambda: GPT(2, 2, 8, 6, 11), windows(3, 6, 11)),
}


def sample(tensor):
    flat = tensor.detach().flatten()
    return torch.cat([flat[:: max(1, flat.numel() // SAMPLES)][:SAMPLES], flat.norm()[None]]).float()


def prepare(model):
    """Initial values that bfloat16 holds."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
    last = "bn3.weight" if any(key.endswith("bn3.weight") for key in model.state_dict()) else "bn2.weight"
    with torch.no_grad():
        for key, value in model.named_parameters():
            # Gains and biases away from the values that hide mistakes.
            if value.dim() == 1:
                value.add_(0.2 * torch.randn_like(value))
            # Gradients of deep networks stay small where blocks add little to their shortcuts.
            if key.endswith(last):
                value.mul_(0.3)
            value.copy_(value.bfloat16())
    return {key: value.clone() for key, value in nn.Module.state_dict(model).items()}


def train(model, initial, make, inputs, labels, dtype):
    model.to(dtype).load_state_dict(initial)
    optimizer = make(model.parameters())
    losses = []
    for x, y in zip(inputs, labels):
        logits = model(x.to(dtype) if x.is_floating_point() else x)
        loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().float())
    return {k: v.double() for k, v in model.state_dict().items() if v.is_floating_point()}, torch.stack(losses)


def fixture(build, inputs, labels, optimizers):
    """The file's tensors, and how far single precision is from double: rounding errors grow where a unit stands near
    the corner of its ReLU."""
    model = build()
    initial = prepare(model)
    tensors = {f"initial.{k}": v.bfloat16().clone() for k, v in model.state_dict().items() if v.is_floating_point()}
    tensors["inputs"] = inputs.bfloat16() if inputs.is_floating_point() else inputs.float()
    tensors["labels"] = labels.float()
    worst = 0
    for key, make in optimizers.items():
        single, _ = train(model, initial, make, inputs, labels, torch.float32)
        double, losses = train(model, initial, make, inputs, labels, torch.float64)
        worst = max([worst] + [float((single[k] - v).abs().max() / v.abs().max()) for k, v in double.items()])
        tensors |= {f"{key}.{k}": sample(v) for k, v in double.items()}
        tensors[f"{key}.losses"] = losses
    return tensors, worst


def main():
    torch.set_num_threads(1)
    for name, (build, (inputs, labels)) in MODELS.items():
        optimizers = OPTIMIZERS | (MORE_OPTIMIZERS if name == "mlp" else {})
        for seed in range(1, 100):
            torch.manual_seed(seed)
            tensors, worst = fixture(build, inputs, labels, optimizers)
            if worst < 1e-5:
                break
        path = pathlib.Path(__file__).parent / f"parity-{name}.safetensors"
        save_file({k: v.contiguous() for k, v in tensors.items()}, path)
        print(path.name, path.stat().st_size, f"seed {seed}, single precision differs by {worst:.1e}")


if __name__ == "__main__":
    main()
