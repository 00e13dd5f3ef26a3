"""Prints what a run of the benchmarks measured, and holds its ratios against ratios.json.

    python3 ratios.py EXPORT.jmh.json

Times differ between machines; that plain loops take eight times as long as a kernel does not, or not much. So only ratios
between benchmarks of one run are kept. ratios.json lists them: a numerator and a denominator, each the name of a benchmark,
whose times are divided; the bound, `atLeast` or `atMost`; and why it has to hold.

A benchmark's time is processor time, of all threads, and the least of its samples: what the work takes when nothing else
disturbs it. Bounds leave room for what does.
Ends with 1 if a bound is broken or a benchmark that a ratio names was not measured, with 2 if a file makes no sense.
"""
import json
import math
import sys
from pathlib import Path

BOUNDS = {"atLeast": ("≥", lambda ratio, bound: ratio >= bound), "atMost": ("≤", lambda ratio, bound: ratio <= bound)}
NAMES = {"numerator", "denominator", "why"}


class Unreadable(Exception):
    pass


def read_times(path):
    """Of each benchmark the processor times of its samples in nanoseconds, ascending, by name."""
    times = {}
    try:
        for entry in json.loads(Path(path).read_text()):
            # JMH names are package.benchmark.TARGET.NAME, with underscores for blanks.
            name = entry["benchmark"].split(".", 3)[3].replace("_", " ")
            times[name] = sorted(entry["secondaryMetrics"]["processor time"]["rawData"][0])
            if times[name][0] <= 0:
                raise ValueError(f"{name} took no time")
    except (LookupError, TypeError, ValueError) as error:
        raise Unreadable(f"{path} is no export of these benchmarks ({error!r})") from error
    if not times:
        raise Unreadable(f"{path}: no benchmark was measured")
    return times


def read_ratios(path):
    """A list of (numerator, denominator, bound's kind, bound, why)."""
    try:
        listed = json.loads(path.read_text())
    except ValueError as error:
        raise Unreadable(f"{path.name}: {error}") from error
    ratios = []
    for ratio in listed:
        kinds = set(ratio) - NAMES
        if not NAMES <= set(ratio) or len(kinds) != 1 or not kinds <= set(BOUNDS):
            raise Unreadable(f"{path.name}: a ratio needs {', '.join(sorted(NAMES))} and atLeast or atMost: {ratio}")
        (kind,) = kinds
        if not isinstance(ratio[kind], (int, float)) or not 0 < ratio[kind] < math.inf:
            raise Unreadable(f"{path.name}: {kind} is to be a positive number: {ratio}")
        ratios.append((ratio["numerator"], ratio["denominator"], kind, ratio[kind], ratio["why"]))
    return ratios


def duration(nanoseconds):
    unit, size = next((unit, size) for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1)) if nanoseconds >= size)
    return f"{nanoseconds / size:.3g} {unit}"


def print_times(times):
    width = max(map(len, times))
    print(f"\n{'benchmark':{width}}  {'least':>8}  {'median':>8}  samples")
    for name in sorted(times):
        samples = times[name]
        print(f"{name:{width}}  {duration(samples[0]):>8}  {duration(samples[len(samples) // 2]):>8}  {len(samples):>7,}")


def pair(numerator, denominator):
    """Both names; for the words that they begin with alike, the second has three dots."""
    words, others = numerator.split(" "), denominator.split(" ")
    alike = 0
    while alike < min(len(words), len(others)) and words[alike].rstrip(",") == others[alike].rstrip(","):
        alike += 1
    return f"{numerator} / … {' '.join(others[alike:])}".rstrip()


def check(times, ratios):
    """Prints every ratio. Returns what is wrong."""
    wrong = []
    print("\n   ratio    bound")
    for numerator, denominator, kind, bound, why in ratios:
        missing = [name for name in (numerator, denominator) if name not in times]
        if missing:
            wrong.append(f"no benchmark '{missing[0]}' was measured, which a ratio needs")
            continue
        ratio = times[numerator][0] / times[denominator][0]
        sign, holds = BOUNDS[kind]
        broken = not holds(ratio, bound)
        print(f"{'!' if broken else ' '} {ratio:6.3g}  {sign} {bound:5g}  {pair(numerator, denominator)}")
        if broken:
            wrong.append(f"{numerator} / {denominator} is {ratio:.4g}, not {sign} {bound:g}: {why}")
    return wrong


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        ratios = read_ratios(Path(__file__).with_name("ratios.json"))
        times = read_times(sys.argv[1])
    except (OSError, Unreadable) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    print_times(times)
    wrong = check(times, ratios)
    unused = sorted(set(times) - {name for ratio in ratios for name in ratio[:2]})
    wrong += [f"no ratio holds '{name}' to anything: add one to ratios.json" for name in unused]
    sys.stdout.flush()
    for line in wrong:
        print(f"broken: {line}", file=sys.stderr)
    print(f"\n{len(ratios)} ratios, {len(wrong)} broken", flush=True)
    sys.exit(1 if wrong else 0)


main()
