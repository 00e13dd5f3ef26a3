"""Makes every table and figure of Docs/Paper.md from the data folders alone.

    python Benchmarks/Paper/figures.py BACKTRAIL --data DIR [--out DIR] [--charts DIR] [--only NAME ...]

Runs the examples of theory and the three experiments, writes the tables to --out/tables.md and charts to --charts. Results are kept in
--out: what has been measured is not measured again.
"""
import argparse
import math
import subprocess
import sys
from pathlib import Path

import svg
from command import Backtrail, find_data
from experiment import Measurement
from tables import KINDS, report

EXAMPLES = ["ar1", "bernoulli", "least-squares", "logistic", "non-convex", "orders"]
# An implied ratio below it is not compared: distances do not go on to grow at the rate of small ones.
LEAST_IMPLIED = 0.1
# Charts of cells are drawn from so many on.
FEWEST_CELLS = 8
PHASE_WORDS = {"start": "from the start", "trained": "from a trained state"}


def side(pair):
    """−1, 0 or 1: the sign of a mean with its interval, 0 where it is not certain."""
    center, half = pair
    if center is None or half is None:
        return 0
    return (center - half > 0) - (center + half < 0)


def ratio_side(triple):
    """1 where backward is certainly quieter, −1 where it is certainly louder."""
    center, low, high = triple
    if low is None:
        return 0
    return (low > 1) - (high < 1)


def cells_of(document):
    return [cell for measured in document["phases"].values() for cell in measured["cells"]]


def told(cells, exponent, ratio):
    """Counts of cells by the exponent's sign and by whether backward is quieter."""
    counts = {}
    for cell in cells:
        if cell["ratios"][ratio][0] is None:
            continue
        pair = side(cell["exponents"][exponent]), ratio_side(cell["ratios"][ratio])
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def told_table(cells):
    signs = {-1: "contracts", 0: "undecided", 1: "expands"}
    lines = [
        "| backward's exponent of | noise of | sign | cells | backward quieter | undecided | backward louder |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |"]
    for quantity in ("parameters", "predictions"):
        for ratio in KINDS:
            counts = told(cells, f"backward {quantity}", ratio)
            for sign, word in signs.items():
                row = [counts.get((sign, r), 0) for r in (1, 0, -1)]
                if sum(row):
                    lines.append(f"| {quantity} | {ratio} | {word} | {sum(row)} | " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def signs_chart(document):
    """The ratio of neighbour noise by the exponent, a point a cell."""
    e = document["experiment"]
    panels = []
    for quantity in ("parameters", "predictions"):
        panel = svg.Panel(
            f"by backward's exponent of {quantity}", svg.Axis("exponent × 1000, per update", include=[0], signed=True),
            svg.Axis("neighbour noise of the test loss, forward / backward", logarithmic=True, include=[1]))
        panel.x_mark, panel.y_mark = 0, 1
        for cell in cells_of(document):
            (x, half), (y, low, high) = cell["exponents"][f"backward {quantity}"], cell["ratios"]["loss"]
            if x is None or y is None:
                continue
            panel.point(
                e["batch_sizes"].index(cell["batchSize"]), 1000 * x, y, half is not None and (1000 * (x - half), 1000 * (x + half)),
                low is not None and (low, high), hollow=cell["phase"] == "start")
        panels.append(panel)
    phases = list(document["phases"])
    legend = [(i, p == "start", f"batch {b}, {PHASE_WORDS[p]}") for p in phases for i, b in enumerate(e["batch_sizes"])]
    return svg.chart(
        f"{e['title']}: does the sign of the exponent tell where backward is quieter?",
        f"{e['model']} on {document['data']}. A point is a pair of η and batch size, {e['seeds']} seeds; bars: 95 % confidence. "
        "Above 1: backward is quieter.", panels, legend)


def comparable(document, kind):
    """Cells of which the exponent implies no ratio so small that distances cease to grow at its rate before."""
    return [c for c in cells_of(document) if (c["implied"][kind][0] or 0) >= LEAST_IMPLIED and c["ratios"][kind][0]]


def implied_table(document):
    """How well exponents tell the distance of successive iterates."""
    lines = [
        f"| distance of | pairs with an implied ratio ≥ {LEAST_IMPLIED:g} | measured within a factor of 2 | of 1.5 | the other pairs "
        "| of them measured below 1 |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for kind in ("parameters", "predictions"):
        shown = comparable(document, kind)
        factors = [abs(math.log(c["implied"][kind][0] / c["ratios"][kind][0])) for c in shown]
        others = [c for c in cells_of(document) if c not in shown and c["ratios"][kind][0]]
        lines.append(
            f"| {kind} | {len(shown)} | {sum(f <= math.log(2) for f in factors)} | {sum(f <= math.log(1.5) for f in factors)} | "
            f"{len(others)} | {sum(c['ratios'][kind][0] < 1 for c in others)} |")
    return "\n".join(lines)


def implied_chart(document):
    """How far successive iterates are, measured and as the exponent has it."""
    e = document["experiment"]
    panels = []
    for kind in ("parameters", "predictions"):
        panel = svg.Panel(
            f"distance of successive iterates in {kind}", svg.Axis("implied by the exponent, forward / backward", True, [1]),
            svg.Axis("measured, forward / backward", True, [1]))
        panel.diagonal = True
        for cell in comparable(document, kind):
            (x, *x_bar), (y, *y_bar) = cell["implied"][kind], cell["ratios"][kind]
            panel.point(
                e["batch_sizes"].index(cell["batchSize"]), x, y, x_bar if x_bar[0] else None, y_bar if y_bar[0] else None,
                cell["phase"] == "start")
        panels.append(panel)
    legend = [(i, p == "start", f"batch {b}, {PHASE_WORDS[p]}") for p in document["phases"] for i, b in enumerate(e["batch_sizes"])]
    return svg.chart(
        f"{e['title']}: distances of successive iterates, as the exponent has them and as they are",
        f"{e['model']} on {document['data']}, {e['seeds']} seeds; bars: 95 % confidence. Pairs of which the exponent implies less than "
        f"{LEAST_IMPLIED:g} are left out: growth does not go on to the end there.", panels, legend)


def curves_chart(document):
    e = document["experiment"]
    panels, names = [], []
    for phase, measured in document["phases"].items():
        panel = svg.Panel(PHASE_WORDS[phase], svg.Axis("n, batches"), svg.Axis("test loss", logarithmic=phase == "start"))
        for label, curve in measured["curves"].items():
            if label not in names:
                names.append(label)
            points = [
                (n, center, center - half, center + half) if half is not None else (n, center, None, None)
                for n, center, half in curve["points"]]
            if points:
                panel.line(names.index(label), points)
        panels.append(panel)
    rate, batch = e["main"]
    return svg.chart(
        f"{e['title']}: test loss by n, η {rate:g}, batch {batch}",
        f"{e['model']} on {document['data']}, means over {e['seeds']} seeds; bands: 95 % confidence.", panels,
        [(i, False, name) for i, name in enumerate(names)])


CHARTS = {"signs": signs_chart, "implied": implied_chart, "curves": curves_chart}


def write_charts(document, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in CHARTS.items():
        if name != "curves" and len(cells_of(document)) < FEWEST_CELLS:
            continue
        path = folder / f"paper-{document['experiment']['name']}-{name}.svg"
        path.write_text(make(document))
        yield path


def theory(binary):
    """The table of each example, and whether predictions agree."""
    parts = []
    for example in EXAMPLES:
        finished = subprocess.run([binary, "theory", example], capture_output=True, text=True)
        if finished.returncode not in (0, 1):
            sys.exit(finished.stderr)
        verdict = "agrees" if finished.returncode == 0 else "disagrees"
        parts.append(f"### theory {example}: {verdict}\n\n```\n{finished.stdout.strip()}\n```")
    return "\n\n".join(parts)


def main():
    import mlp
    import resnet18
    import resnet50

    experiments = {e.name: e for e in (mlp.EXPERIMENT, resnet18.EXPERIMENT, resnet50.EXPERIMENT)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backtrail")
    parser.add_argument("--data", required=True, metavar="DIR")
    parser.add_argument("--out", default="runs/paper", metavar="DIR")
    parser.add_argument("--charts", default="Docs/Charts", metavar="DIR")
    parser.add_argument("--only", nargs="*", choices=["theory", *experiments])
    given = parser.parse_args()
    chosen = given.only or ["theory", *experiments]
    parts = [theory(given.backtrail)] if "theory" in chosen else []
    for name, experiment in experiments.items():
        if name in chosen:
            backtrail = Backtrail(given.backtrail, given.out)
            document = Measurement(experiment, backtrail, find_data(given.data, experiment.data), print_now).measure()
            parts += [report(document), told_table(cells_of(document)), implied_table(document)]
            for path in write_charts(document, Path(given.charts)):
                print_now(path)
    tables = "\n\n".join(parts) + "\n"
    Path(given.out, "tables.md").write_text(tables)
    print(tables)


def print_now(line):
    print(line, flush=True)


if __name__ == "__main__":
    main()
