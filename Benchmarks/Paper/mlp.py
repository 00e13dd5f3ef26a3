"""The paper's MLP: Fashion-MNIST where the data folder has it, MNIST where not.

    python Benchmarks/Paper/mlp.py BACKTRAIL --data DIR [--out DIR] [--seeds K] [--full]

A 4 × 4 grid of learning rates and batch sizes, from the start and from a trained state. Results are tables in Markdown on standard
output, mlp.json and charts in --out. An interrupted measurement goes on where it stopped.
"""
from command import FASHION, MNIST
from experiment import Experiment, main

EXPERIMENT = Experiment(
    name="mlp", title="MLP", data=[FASHION, MNIST], model="mlp:128", learning_rates=[0.01, 0.03, 0.1, 0.3], batch_sizes=[2, 8, 32, 128],
    main=(0.03, 32), steps=500, window=20, every=20, seeds=5, evaluation_examples=2000, trained_steps=6000, trained=(0.1, 32),
    full=dict(model="mlp:512,512", batch=8, rate=0.01, steps=10_000))

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
