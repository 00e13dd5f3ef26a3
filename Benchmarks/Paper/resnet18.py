"""The paper's ResNet-18 on CIFAR-10, narrow.

    python Benchmarks/Paper/resnet18.py BACKTRAIL --data DIR [--out DIR] [--seeds K] [--full]

Small learning rates and batches from the start, and from a state after 600 updates. Results are tables in Markdown on standard output,
resnet18.json and charts in --out. An interrupted measurement goes on where it stopped.
"""
from command import CIFAR10
from experiment import Experiment, main

EXPERIMENT = Experiment(
    name="resnet18", title="ResNet-18", data=[CIFAR10], model="resnet18:8", learning_rates=[0.001, 0.01], batch_sizes=[8, 16],
    cells=dict(trained=[(0.001, 8), (0.01, 8), (0.001, 16)], start=[(0.001, 8)]), main=(0.001, 8), steps=48, window=8, every=4, seeds=5,
    evaluation_examples=512, trained_steps=600, trained=(0.05, 32), points=6, directions=1, examples=64,
    weights=True, recalibrate=20, full=dict(model="resnet18", batch=8, rate=0.01, steps=2_000))

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
