"""Means over seeds with 95 % confidence intervals by Student's t."""
import math

# The 97.5 % quantiles of Student's t for 1, 2, … degrees of freedom.
QUANTILES = [
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199,
    2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
]


def mean(values):
    return sum(values) / len(values)


def deviation(values):
    """The standard deviation of a sample of two or more."""
    center = mean(values)
    return math.sqrt(sum((value - center) ** 2 for value in values) / (len(values) - 1))


def interval(values):
    """Mean and half of the 95 % confidence interval; the half is None for one value, and both are None for none."""
    values = list(values)
    if not values:
        return None, None
    if len(values) == 1:
        return values[0], None
    quantile = QUANTILES[min(len(values) - 1, len(QUANTILES)) - 1]
    return mean(values), quantile * deviation(values) / math.sqrt(len(values))


def geometric(ratios):
    """The geometric mean of positive ratios, and the ends of its interval, which is that of their logarithms."""
    center, half = interval(math.log(ratio) for ratio in ratios if ratio > 0)
    if half is None:
        return (None if center is None else math.exp(center)), None, None
    return math.exp(center), math.exp(center - half), math.exp(center + half)
