"""Golden values of the statistics in crates/results/src/stats/, from SciPy, statsmodels, baycomp, mlxtend and scikit-learn.

Made with Python 3.11+:
    pip install -r tests/golden/requirements-stats2.txt
    python tests/golden/make_stats2.py
writes tests/golden/stats2.json.
"""

import json
import pathlib
import warnings

import numpy as np
import scipy
import scipy.optimize
import scipy.stats
import sklearn
import statsmodels
from baycomp.single import CorrelatedTTest
from mlxtend.evaluate import permutation_test as mlxtend_permutation_test
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from statsmodels.stats.weightstats import ttost_paired

assert (np.__version__, scipy.__version__, statsmodels.__version__) == ("2.4.6", "1.17.1", "0.15.0")
assert sklearn.__version__ == "1.9.1"
warnings.filterwarnings("ignore")  # classes without cells in small folds
rng = np.random.default_rng(20261130)


def sign_flip(differences):
    d = np.asarray(differences, dtype=np.float64)
    test = scipy.stats.permutation_test(
        (d,), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    case = {"differences": d.tolist(), "p": float(test.pvalue)}
    if len(d) <= 10:
        exact = mlxtend_permutation_test(d, np.zeros_like(d), method="exact", paired=True)
        assert abs(exact - test.pvalue) < 1e-12, (exact, test.pvalue)
    return case


flips = [sign_flip(rng.normal(shift, 0.03, n)) for shift, n in [(0.05, 4), (0.02, 6), (0.0, 8), (0.03, 12)]]
flips.append(sign_flip(np.array([0.1, 0.2, -0.1, 0.4, 0.2])))  # ties


def corrected(n):
    d = rng.normal(0.02, 0.03, n)
    # baycomp: one run, so each of the n folds tests 1 / n of the cells, and test / train is 1 / (n - 1).
    mean, var, df = CorrelatedTTest.compute_statistics(np.zeros(n), d, 1)
    p = 2 * scipy.stats.t.sf(abs(mean) / var**0.5, df)
    return {"differences": d.tolist(), "mean": float(mean), "variance": float(var), "p": float(p)}


def tost(n, shift, spread, margin):
    d = rng.normal(shift, spread, n)
    p, lower, upper = ttost_paired(d, np.zeros(n), -margin, margin)
    return {"differences": d.tolist(), "margin": margin, "p": float(p), "one_sided": [float(lower[1]), float(upper[1])]}


students = [
    {"df": df, "above": p, "t": float(scipy.stats.t.isf(p, df)), "two_sided": float(2 * scipy.stats.t.sf(1.7, df))}
    for df in (1.0, 2.35, 4.5, 17.25, 300.5, 10000.0)
    for p in (0.2, 0.05, 0.025, 0.00417)
]

METRICS = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "weighted_f1": lambda t, p: f1_score(t, p, average="weighted", zero_division=0),
    "macro_f1": lambda t, p: f1_score(t, p, average="macro", zero_division=0),
}


def crossed():
    """Two arms under 4 seeds on 2 sources of 4 and 3 folds, 4 groups each; expected values from cell lists and loops."""
    places = [(s, f, f"{f}-{g}") for s, folds in (("a", 4), ("b", 3)) for f in range(folds) for g in range(4)]
    truth = {place: rng.integers(0, 3, rng.integers(9, 16)) for place in places}
    seeds, cells = 4, {}
    for arm, right in (("arm", 0.7), ("base", 0.6)):
        for seed in range(seeds):
            shift = rng.normal(0, 0.05)
            for place, t in truth.items():
                hit = rng.random(len(t)) < right + shift + rng.normal(0, 0.1)
                cells[arm, seed, place] = np.where(hit, t, (t + rng.integers(1, 3, len(t))) % 3)

    def score(arm, seed, source, fold, metric, without=None):
        chosen = [p for p in places if p[0] == source and p[1] == fold and p != without]
        return metric(
            np.concatenate([truth[p] for p in chosen]), np.concatenate([cells[arm, seed, p] for p in chosen])
        )

    expected = {}
    strata = {"a": range(4), "b": range(3)}
    for name, metric in METRICS.items():
        def d(seed, s, f, without=None):
            return score("arm", seed, s, f, metric, without) - score("base", seed, s, f, metric, without)

        by_seed = np.array([np.mean([np.mean([d(r, s, f) for f in fs]) for s, fs in strata.items()]) for r in range(seeds)])
        groups, folds, group_df, fold_df = np.zeros((seeds, seeds)), np.zeros((seeds, seeds)), 0.0, 0.0
        for s, fs in strata.items():
            table = np.array([[d(r, s, f) for f in fs] for r in range(seeds)])
            part = np.cov(table) / len(fs) / len(strata) ** 2
            folds += part
            fold_df += part.mean() ** 2 / (len(fs) - 1)
            for f in fs:
                chosen = [p for p in places if p[0] == s and p[1] == f]
                jack = np.array([[d(r, s, f, p) for p in chosen] for r in range(seeds)])
                n = len(chosen)
                part = np.cov(jack) * (n - 1) ** 2 / n / (len(strata) * len(fs)) ** 2
                groups += part
                group_df += part.mean() ** 2 / (n - 1)
        off = ~np.eye(seeds, dtype=bool)
        both = [(m[off].mean(), m.mean(), m.mean() ** 2 / s) for m, s in ((groups, group_df), (folds, fold_df))]
        shared, total, df = max(both)
        floor, seed_part = max(shared, 0.0), by_seed.var(ddof=1) / seeds
        # Cochran & Cox: critical values weighted by their variances; p by solving for it.
        variance = seed_part + floor
        floor_df = floor**2 / (total**2 / df + (total - shared) ** 2 / (df * (seeds - 1))) if floor > 0 else 1.0

        def critical(log_p):
            tail = np.exp(log_p) / 2
            both = seed_part * scipy.stats.t.isf(tail, seeds - 1) + floor * scipy.stats.t.isf(tail, max(floor_df, 1.0))
            return both / variance

        t = abs(by_seed.mean()) / variance**0.5
        log_p = scipy.optimize.brentq(lambda log_p: critical(log_p) - t, -60, -1e-9, xtol=1e-12)
        expected[name] = {
            "by_seed": by_seed.tolist(),
            "shared": [float(b[0]) for b in both],
            "error": float(variance**0.5),
            "hi": float(by_seed.mean() + critical(np.log(0.05)) * variance**0.5),
            "p": float(np.exp(log_p)),
        }
    rows = []
    for (arm, seed, (s, f, g)), predicted in cells.items():
        pairs, counts = np.unique(np.stack([truth[s, f, g], predicted]), axis=1, return_counts=True)
        rows.append([arm, seed, s, str(f), g, [[int(t), int(p), int(n)] for (t, p), n in zip(pairs.T, counts)]])
    return {"rows": rows, "expected": expected}


out = pathlib.Path(__file__).with_name("stats2.json")
out.write_text(
    json.dumps(
        {
            "sign_flip": flips,
            "corrected": [corrected(n) for n in (3, 4, 5, 10)],
            "tost": [tost(*case) for case in [(5, 0.002, 0.004, 0.01), (8, -0.006, 0.01, 0.01), (3, 0.02, 0.01, 0.01)]],
            "students": students,
            "crossed": [crossed() for _ in range(2)],
        },
        separators=(",", ":"),
    )
    + "\n"
)
