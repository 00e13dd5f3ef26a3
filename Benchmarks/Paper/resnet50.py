"""The paper's ResNet-50, narrow: CIFAR-100 where the data folder has it, CIFAR-10 where not.

    python Benchmarks/Paper/resnet50.py BACKTRAIL --data DIR [--out DIR] [--seeds K] [--full]

One learning rate and batch size, from the start and from a trained state. Results are tables in Markdown on standard output,
resnet50.json and charts in --out. An interrupted measurement goes on where it stopped.
"""
from command import CIFAR10, CIFAR100
from experiment import Experiment, main

EXPERIMENT = Experiment(
    name="resnet50", title="ResNet-50", data=[CIFAR100, CIFAR10], model="resnet50:8", learning_rates=[0.001], batch_sizes=[8],
    main=(0.001, 8), steps=16, window=4, every=2, seeds=5, evaluation_examples=256, trained_steps=300, trained=(0.05, 16), points=3,
    directions=1, examples=64, weights=True, recalibrate=20, full=dict(model="resnet50", batch=8, rate=0.01, steps=2_000))

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
