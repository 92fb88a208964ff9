"""Golden values of the statistics in crates/results/src/stats.rs, from SciPy, statsmodels and NumPy.

Made with Python 3.11+:
    pip install -r tests/golden/requirements-stats.txt
    python tests/golden/make_stats.py
writes tests/golden/stats.json.
"""

import json
import pathlib

import numpy as np
import scipy
import scipy.stats
import statsmodels
from statsmodels.stats.multitest import multipletests

assert (np.__version__, scipy.__version__, statsmodels.__version__) == ("2.4.6", "1.17.1", "0.15.0")
rng = np.random.default_rng(20250226)

quantiles = [
    {"p": p, "df": df, "t": float(scipy.stats.t.ppf(p, df))}
    for p in (0.005, 0.025, 0.6, 0.9, 0.95, 0.975, 0.995, 0.9995)
    for df in (1, 2, 3, 4, 5, 9, 19, 29, 100, 1000)
]


def paired(differences):
    d = np.asarray(differences, dtype=np.float64)
    test = scipy.stats.ttest_rel(d, np.zeros_like(d))
    ci = test.confidence_interval(0.95)
    return {
        "differences": d.tolist(),
        "mean": float(d.mean()),
        "std": float(d.std(ddof=1)),
        "lo": float(ci.low),
        "hi": float(ci.high),
        "p": float(test.pvalue),
        "wilcoxon_p": float(scipy.stats.wilcoxon(d, method="auto").pvalue),
    }


cases = [paired(rng.normal(shift, 0.03, n)) for shift, n in [(0.02, 2), (0.0, 4), (0.05, 5), (-0.03, 10), (0.01, 30)]]
# Ties and zeros: scores of small folds are fractions with few distinct differences.
cases.append(paired(np.round(rng.normal(0.3, 1.0, 24)) / 8))
cases.append(paired(np.round(rng.normal(0.1, 3.0, 70)) / 8))

holm = [
    {"p": p.tolist(), "adjusted": multipletests(p, method="holm")[1].tolist()}
    for p in (np.array([0.01, 0.04, 0.03, 0.005]), np.array([0.5]), rng.uniform(0, 0.2, 7), np.array([0.02, 0.02, 0.9]))
]

grid = [0.0, 0.025, 0.1, 0.5, 0.77, 0.975, 1.0]
quantile_cases = [
    {"values": v.tolist(), "q": grid, "quantiles": np.quantile(v, grid).tolist()}
    for v in (rng.normal(size=1), rng.normal(size=2), rng.normal(size=37))
]

out = pathlib.Path(__file__).with_name("stats.json")
out.write_text(
    json.dumps(
        {"t_quantiles": quantiles, "paired": cases, "holm": holm, "quantiles": quantile_cases},
        indent=None,
        separators=(",", ":"),
    )
    + "\n"
)
