"""The tables of an experiment, in Markdown."""
import math

KINDS = ["loss", "parameters", "predictions"]
ORDERS = ["forward", "backward"]


def plus_minus(pair, digits=3):
    """A mean with its interval, rounded to the interval's first two digits."""
    center, half = pair
    if center is None:
        return "–"
    if half is None:
        return number(center, digits)
    decimals = min(6, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else digits
    return f"{center:.{decimals}f} ± {half:.{decimals}f}".replace("-", "−")


def number(value, digits):
    """Significant digits without an exponent."""
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{decimals}f}"


def between(triple):
    center, low, high = triple
    if center is None:
        return "–"
    return number(center, 2) + (f" ({number(low, 2)} … {number(high, 2)})" if low is not None else "")


def cell_line(cell):
    divergence = f", diverged: {len(cell['diverged'])}" if cell["diverged"] else ""
    return (
        f"{cell['phase']}, η {cell['learningRate']:g}, batch {cell['batchSize']}: forward / backward loss {between(cell['ratios']['loss'])}, "
        f"parameters {between(cell['ratios']['parameters'])}, predictions {between(cell['ratios']['predictions'])}{divergence}")


def grid_table(cells):
    lines = [
        "| batch | η | loss: forward / backward | parameters | predictions | exponent × 1000, backward, parameters | predictions "
        "| forward, parameters | predictions | diverged |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for c in cells:
        exponents = [
            plus_minus(tuple(None if v is None else 1000 * v for v in c["exponents"][f"{order} {kind}"]))
            for order in ("backward", "forward") for kind in ("parameters", "predictions")
        ]
        ratios = [between(c["ratios"][kind]) for kind in KINDS]
        lines.append(f"| {c['batchSize']} | {c['learningRate']:g} | " + " | ".join(ratios + exponents) + f" | {len(c['diverged'])} |")
    return "\n".join(lines)


def curve_table(curves):
    lines = ["| | test loss | test accuracy | neighbour noise | gradient evaluations a seed |", "| --- | ---: | ---: | ---: | ---: |"]
    for label, c in curves.items():
        if c.get("diverged"):
            lines.append(f"| {label} | diverged | | | |")
        else:
            values = [plus_minus(c["testLoss"]), plus_minus(c["testAccuracy"]), plus_minus(c["noise"])]
            lines.append(f"| {label} | " + " | ".join(values) + f" | {c['gradientEvaluations']:,} |")
    return "\n".join(lines)


def distance_table(cells):
    """Distances of successive iterates themselves."""
    lines = [
        "| batch | η | parameters: forward | backward | predictions: forward | backward |", "| ---: | ---: | ---: | ---: | ---: | ---: |"]
    for c in cells:
        values = [plus_minus(c["distances"][f"{order} {kind}"]) for kind in ("parameters", "predictions") for order in ORDERS]
        lines.append(f"| {c['batchSize']} | {c['learningRate']:g} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def weights_lines(cells):
    """Distances of weights without running statistics, and losses without the noise of these."""
    lines = []
    for c in cells:
        where = f"η {c['learningRate']:g}, batch {c['batchSize']}"
        if "weights" in c["ratios"]:
            forward, backward = (plus_minus(c["distances"][f"{order} weights"]) for order in ORDERS)
            lines.append(
                f"- {where}: weights alone move by {forward} (forward) and {backward} (backward), ratio {between(c['ratios']['weights'])}.")
        if "recalibrated" in c:
            forward, backward = (plus_minus(c["recalibrated"][order]) for order in ORDERS)
            lines.append(
                f"- {where}, running statistics computed anew before each observation: noise of the test loss {forward} (forward) and "
                f"{backward} (backward), ratio {between(c['ratios']['recalibrated'])}.")
    return "\n".join(lines)


def report(document):
    """The tables of an experiment, in Markdown."""
    e = document["experiment"]
    parts = [
        f"### {e['title']}: {e['model']} on {document['data']}\n\nN = {e['steps']}, {e['seeds']} seeds, {document['seconds'] / 60:.1f} minutes, "
        f"{document['gradientEvaluations']:,} gradient evaluations."]
    for phase, measured in document["phases"].items():
        words = "From the start"
        if phase == "trained":
            rate, batch = e["trained"]
            words = (
                f"From the state after {e['trained_steps']:,} updates of batch {batch} at η {rate:g} "
                f"(test loss {document['trainedLoss']:.3f}, accuracy {document['trainedAccuracy']:.3f})")
        rate, batch = e["main"]
        parts += [
            f"{words}:\n\n{grid_table(measured['cells'])}", f"Successive iterates, root mean square:\n\n{distance_table(measured['cells'])}",
            *filter(None, [weights_lines(measured["cells"])]),
            f"η {rate:g}, batch {batch}, an observation every {e['every']} updates:\n\n{curve_table(measured['curves'])}"]
    return "\n\n".join(parts)
