"""Writes statistics.json, values of distributions by SciPy, for StatisticsTests: python3 make_statistics.py"""
import json
import os

import numpy
from scipy import special, stats

normal = [{"x": x, "below": stats.norm.cdf(x), "outside": 2 * stats.norm.sf(abs(x))} for x in
          [-8.0, -3.5, -1.0, -0.1, 0.0, 0.3, 1.959964, 4.0, 6.5, 12.0]]
deviations = [{"probability": p, "x": stats.norm.isf(p / 2)} for p in [0.9, 0.5, 0.05, 1e-3, 1e-4, 1e-9, 1e-15]]
chi_square = []
for freedom in [1, 2, 3, 10, 99.0, 999.0, 9999.0]:
    law = stats.chi2(freedom)
    for p in [1e-8, 1e-4, 0.01, 0.3, 0.5, 0.9, 0.999, 1 - 1e-6]:
        x = law.isf(p)
        chi_square.append({"freedom": freedom, "x": x, "below": law.cdf(x), "above": law.sf(x)})
kolmogorov = [{"x": x, "above": special.kolmogorov(x)} for x in [0.1, 0.2, 0.4, 0.7, 0.99, 1.0, 1.01, 1.36, 2.0, 3.5]]
# The exact law for samples of n, which the limit law approximates.
exact = [{"count": n, "distance": stats.kstwo(n).isf(p), "above": p} for n in [100, 1000, 10000] for p in [0.5, 0.1, 0.01, 1e-3, 1e-4]]

random = numpy.random.default_rng(7)
a = numpy.round(random.normal(size=60), 4)
b = numpy.round(random.normal(0.4, 1.3, size=45), 4)
one, two = stats.kstest(a, stats.norm.cdf), stats.ks_2samp(a, b, method="asymp")
samples = {
    "a": a.tolist(), "b": b.tolist(), "toNormal": one.statistic, "toEachOther": two.statistic,
    "mean": a.mean(), "variance": a.var(ddof=1), "standardError": stats.sem(a),
    "covariance": float(numpy.cov(a[:45], b)[0, 1]),
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "statistics.json")
with open(path, "w") as file:
    json.dump({"normal": normal, "deviations": deviations, "chiSquare": chi_square, "kolmogorov": kolmogorov, "exact": exact,
               "samples": samples}, file, indent=1)
    file.write("\n")
