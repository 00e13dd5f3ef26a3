"""What the three experiments have in common: a grid of learning rates and batch sizes, from the start and from a trained state.

A cell of the grid is one run with several seeds, forward and exact backward observed at the same few last n, and for each seed
`backtrail contraction`. What is compared, seed by seed and then over seeds:

    loss         the standard deviation of the test loss's change from one n to the next, over the last n (the neighbour noise)
    parameters   the distance of iterate n from n − 1, root mean square over the n that `contraction` takes in the last half
    predictions  the same of class probabilities on test examples

Ratios are forward's over backward's, so that above 1 backward is quieter. They are geometric means over seeds with 95 % intervals
by Student's t of their logarithms; exponents are means over seeds with such intervals.
"""
import argparse
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from command import Backtrail, Diverged, find_data
from intervals import deviation, geometric, interval, mean
from tables import ORDERS, cell_line, report

# The trained state first: it is what the theory speaks of.
PHASES = ["trained", "start"]


@dataclass
class Experiment:
    name: str
    title: str
    # Data sets in order of preference, the paper's first: kinds and folder names, as `find_data` takes them.
    data: list
    model: str
    learning_rates: list
    batch_sizes: list
    # The cell whose curves are drawn, and which other ways to quieten a path are compared with.
    main: tuple
    steps: int
    # How many last n are observed, in cells; every so many n, in the curves of the main cell.
    window: int
    every: int
    seeds: int
    evaluation_examples: int
    # Forward's updates before the trained state, and their batch size and learning rate.
    trained_steps: int
    trained: tuple
    phases: list = field(default_factory=lambda: list(PHASES))
    # The pairs of η and batch size of a phase, where they are not all.
    cells: dict = field(default_factory=dict)
    # Of `contraction`: n per run, pairs, examples.
    points: int = 24
    directions: int = 2
    examples: int = 500
    # For networks with batch normalisation: whether distances of weights alone are measured too, from n = N − 1 to N, and over how many
    # batches running statistics are computed anew before the observations of a second run of the main cell from the trained state.
    weights: bool = False
    recalibrate: int = 0
    # Options of every run.
    options: list = field(default_factory=list)
    # A size nearer to the paper's, which is priced and not run: model, options, N.
    full: dict = field(default_factory=dict)


def cell_name(rate, batch):
    return f"eta{rate:g}-batch{batch}"


class Measurement:
    def __init__(self, experiment, backtrail, data, log=print):
        self.experiment, self.backtrail, self.log = experiment, backtrail, log
        self.data, self.data_name = data
        self.results = backtrail.folder

    def options(self, phase, rate, batch, steps, orders, evaluate):
        e = self.experiment
        options = [
            "--data", self.data, "--model", e.model, "--batch-size", str(batch), "--learning-rate", f"{rate:g}", "--steps", str(steps),
            "--evaluate", evaluate, "--evaluation-examples", str(e.evaluation_examples), "--checkpoint-every", "0", *e.options,
        ]
        for order in orders:
            options += ["--order", order]
        if phase == "trained":
            options += ["--initial", f"{self.backtrail.path(e.name + '-trained')}:forward:{e.trained_steps}"]
        return options

    def train_initial(self):
        """The state from which the second phase starts: forward's last iterate of a run with a seed that no cell has."""
        e = self.experiment
        rate, batch = e.trained
        options = self.options("start", rate, batch, e.trained_steps, ["forward"], f"at:{e.trained_steps}")
        options += ["--seed", "1000", "--average", "none"]
        document = self.backtrail.train(f"{e.name}-trained", options)
        self.backtrail.bring_back(f"{e.name}-trained")
        return document["orders"][0]["iterates"][-1]

    def cell(self, phase, rate, batch):
        """What is measured of one cell."""
        e = self.experiment
        last = list(range(e.steps - e.window + 1, e.steps + 1))
        evaluate = "at:" + ",".join(map(str, last))
        name = f"{e.name}-{phase}-{cell_name(rate, batch)}"
        curves, diverged, studies, whole = {}, [], {}, True
        options = self.options(phase, rate, batch, e.steps, ORDERS, evaluate)
        try:
            document = self.backtrail.train(name, [*options, "--seeds", str(e.seeds)])
            add_curves(curves, document, diverged)
        except Diverged:
            # One order of one seed ended the whole run: the others are made alone, and there is no run to study.
            whole = False
            for seed in range(e.seeds):
                for order in ORDERS:
                    alone = self.options(phase, rate, batch, e.steps, [order], evaluate) + ["--seed", str(seed)]
                    try:
                        add_curves(curves, self.backtrail.train(f"{name}-{order}-{seed}", alone, keep=False), diverged)
                    except Diverged:
                        diverged.append((order, seed))
        seeds = [s for s in range(e.seeds) if all((order, s) in curves for order in ORDERS)]
        for seed in seeds if whole else []:
            try:
                studies[seed] = self.backtrail.contraction(
                    name, seed,
                    ["--points", str(e.points), "--directions", str(e.directions), "--examples", str(e.examples)])
            except Diverged:
                diverged.append(("contraction", seed))
        cell = summarize(e, phase, rate, batch, curves, seeds, studies, diverged)
        if e.weights and whole:
            changes = self.weight_changes(f"{name}-weights", self.options(phase, rate, batch, e.steps, ["forward"], f"at:{e.steps}"), seeds)
            cell["ratios"]["weights"] = geometric(forward / backward for forward, backward in changes)
            for index, order in enumerate(ORDERS):
                cell["distances"][f"{order} weights"] = interval(change[index] for change in changes)
        self.backtrail.remove(name)
        if e.recalibrate and phase == "trained" and (rate, batch) == e.main:
            again = [*options, "--seeds", str(e.seeds), "--recalibrate", str(e.recalibrate)]
            losses = {}
            add_curves(losses, self.backtrail.train(f"{name}-recalibrated", again, keep=False), diverged)
            cell["ratios"]["recalibrated"] = geometric(noise(losses["forward", s]) / noise(losses["backward", s]) for s in seeds)
            cell["recalibrated"] = {order: interval(noise(losses[order, s]) for s in seeds) for order in ORDERS}
        return cell

    def weight_changes(self, name, options, seeds):
        """‖θ_N − θ_(N−1)‖ of the weights alone, forward and backward, for each seed.

        A short run suffices: an iterate has the same bits whatever else was observed.
        """
        n = self.experiment.steps

        def compute():
            self.backtrail.train(f"{name}-run", [*options, "--average", "none", "--seeds", str(self.experiment.seeds)])
            pairs = [[[self.backtrail.weights(f"{name}-run", s, o, n - back) for back in (0, 1)] for o in ORDERS] for s in seeds]
            self.backtrail.remove(f"{name}-run")
            return [[math.dist(last, before) for last, before in orders] for orders in pairs]

        return self.backtrail.stored(name, compute)

    def curves(self, phase):
        """Curves of the main cell, its averages, and other ways to use the same examples: cosine, and batches four times as large."""
        e = self.experiment
        rate, batch = e.main
        name = f"{e.name}-{phase}-curves"
        evaluate, seeds = f"every:{e.every}", ["--seeds", str(e.seeds)]
        runs = [
            (name, self.options(phase, rate, batch, e.steps, ORDERS, evaluate), 1),
            (f"{name}-cosine", self.options(phase, rate, batch, e.steps, ["forward"], evaluate) + ["--schedule", "cosine"], 1),
            (f"{name}-larger", self.options(phase, 4 * rate, 4 * batch, e.steps // 4, ["forward"], f"every:{max(1, e.every // 4)}"), 4),
        ]
        labels = {name: "forward and backward", f"{name}-cosine": "forward, cosine", f"{name}-larger": "forward, batch × 4, η × 4"}
        series, costs = {}, {}
        for run, options, stretch in runs:
            extra = [] if run == name else ["--average", "none"]
            try:
                document = self.backtrail.train(run, options + seeds + extra, keep=False)
            except Diverged:
                series[labels[run]] = {}
                continue
            for curve in document["orders"] + document["averages"]:
                label = curve["order"] if run == name else labels[run]
                values = {i["n"] * stretch: (i["testLoss"], i["testAccuracy"]) for i in curve["iterates"] if i["testLoss"] is not None}
                series.setdefault(label, {})[curve["seed"]] = values
                costs[label] = curve["gradientEvaluations"]
        return summarize_curves(e, series, costs)

    def measure(self):
        """Everything, as one document."""
        e = self.experiment
        document = {"experiment": asdict(e), "data": self.data_name, "phases": {}}
        for phase in e.phases:
            if phase == "trained":
                state = self.train_initial()
                document["trainedLoss"], document["trainedAccuracy"] = state["testLoss"], state["testAccuracy"]
            cells = []
            for rate, batch in e.cells.get(phase) or [(rate, batch) for batch in e.batch_sizes for rate in e.learning_rates]:
                cells.append(self.cell(phase, rate, batch))
                self.log(cell_line(cells[-1]))
            document["phases"][phase] = {"cells": cells, "curves": self.curves(phase)}
        document["phases"] = {phase: document["phases"][phase] for phase in sorted(document["phases"])}
        document["seconds"], document["gradientEvaluations"] = self.backtrail.seconds, self.backtrail.evaluations
        (self.results / f"{e.name}.json").write_text(json.dumps(document, indent=1))
        return document


def add_curves(curves, document, diverged):
    """Test losses by order and seed. A curve with a loss that is not finite is a diverged one."""
    for curve in document["orders"]:
        losses = [iterate["testLoss"] for iterate in curve["iterates"]]
        if None in losses or any(iterate.get("diverged") for iterate in curve["iterates"]):
            diverged.append((curve["order"], curve["seed"]))
        else:
            curves[(curve["order"], curve["seed"])] = losses


def noise(losses):
    """The neighbour noise; None for fewer than three observations."""
    return None if len(losses) < 3 else deviation([b - a for a, b in zip(losses, losses[1:])])


def root_mean_square(values):
    return math.sqrt(mean([value * value for value in values]))


def changes(study, order, key, steps):
    """Distances of successive iterates in the last half."""
    return root_mean_square([c[key] for c in study["changes"] if c["order"] == order and c["n"] > steps / 2])


def implied_ratio(study, key, function, steps):
    """What backward's exponent alone says of the ratio: its successive iterates differ by an early difference that all other batches
    have stretched since, which is compared with what forward really does. None where the exponent is not finite."""
    early = min((c for c in study["changes"] if c["order"] == "backward"), key=lambda c: c["n"])
    exponent = study["backward"]["function" if function else "exponent"]["value"]
    if exponent is None or not early[key]:
        return None
    return changes(study, "forward", key, steps) / early[key] * math.exp(-exponent * (steps - early["n"]))


def summarize(e, phase, rate, batch, curves, seeds, studies, diverged):
    keys = {"parameters": "distance", "predictions": "functionDistance"}
    cell = {
        "phase": phase, "learningRate": rate, "batchSize": batch, "seeds": len(seeds), "diverged": [list(d) for d in diverged],
        "ratios": {}, "implied": {}, "exponents": {}, "noise": {}, "testLoss": {},
    }
    for order in ORDERS:
        cell["testLoss"][order] = interval(mean(curves[order, s]) for s in seeds)
        cell["noise"][order] = interval(noise(curves[order, s]) for s in seeds)
    cell["ratios"]["loss"] = geometric(noise(curves["forward", s]) / noise(curves["backward", s]) for s in seeds)
    finite = [s for s in studies.values() if all(c["distance"] is not None and c["functionDistance"] is not None for c in s["changes"])]
    for kind, key in keys.items():
        function = kind == "predictions"
        cell["ratios"][kind] = geometric(changes(s, "forward", key, e.steps) / changes(s, "backward", key, e.steps) for s in finite)
        cell["implied"][kind] = geometric(
            ratio for s in finite if (ratio := implied_ratio(s, key, function, e.steps)) is not None)
        for order in ORDERS:
            values = [s[order]["function" if function else "exponent"]["value"] for s in finite]
            cell["exponents"][f"{order} {kind}"] = interval(v for v in values if v is not None)
    for order in ORDERS:
        for kind, key in keys.items():
            cell.setdefault("distances", {})[f"{order} {kind}"] = interval(changes(s, order, key, e.steps) for s in finite)
    return cell


def summarize_curves(e, series, costs):
    """Means and intervals by n, and a row for each series: means over the last quarter and noise over the last half, at equal n."""
    result = {}
    for label, seeds in series.items():
        if not seeds or any(len(values) < 3 for values in seeds.values()):
            result[label] = {"diverged": True, "points": []}
            continue
        ns = sorted(set.intersection(*(set(values) for values in seeds.values())))
        points = [(n, *interval(values[n][0] for values in seeds.values())) for n in ns]
        quarter, half = [n for n in ns if n > 0.75 * e.steps], [n for n in ns if n > 0.5 * e.steps]
        result[label] = {
            "seeds": len(seeds), "points": points, "gradientEvaluations": costs[label],
            "testLoss": interval(mean([v[n][0] for n in quarter]) for v in seeds.values()),
            "testAccuracy": interval(mean([v[n][1] for n in quarter]) for v in seeds.values()),
            "spread": deviation([v[ns[-1]][0] for v in seeds.values()]) if len(seeds) > 1 else None,
            "noise": interval(value for v in seeds.values() if (value := noise([v[n][0] for n in half])) is not None),
        }
    return result


def arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backtrail", help="the command, such as .build/release/backtrail")
    parser.add_argument("--data", required=True, metavar="DIR", help="the folder that holds the data sets' folders")
    parser.add_argument("--out", default="runs/paper", metavar="DIR", help="where runs and results go (default: runs/paper)")
    parser.add_argument("--seeds", type=int, metavar="K", help="how many seeds (default: the experiment's)")
    parser.add_argument("--full", action="store_true", help="show what a size nearer to the paper's would cost, and run nothing")
    return parser


def price(experiment, backtrail, data):
    """The plan at full size: the whole backward curve, and few exact iterates of it."""
    full = experiment.full
    options = [
        "--data", data[0], "--model", full["model"], "--batch-size", str(full["batch"]), "--learning-rate", f"{full['rate']:g}",
        "--steps", str(full["steps"]), "--order", "forward", "--order", "backward", "--seeds", str(experiment.seeds),
        "--checkpoint-every", "0", *experiment.options,
    ]
    for evaluate in ("every:1", "log:20"):
        backtrail.print_plan([*options, "--evaluate", evaluate])


def main(experiment, description):
    from figures import write_charts

    given = arguments(description).parse_args()
    if given.seeds:
        experiment.seeds = given.seeds
    data = find_data(given.data, experiment.data)
    backtrail = Backtrail(given.backtrail, given.out)
    if given.full:
        price(experiment, backtrail, data)
        return
    document = Measurement(experiment, backtrail, data, log=lambda line: print(line, flush=True)).measure()
    print(report(document))
    for path in write_charts(document, Path(given.out)):
        print(path)
