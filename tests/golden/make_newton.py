"""Golden values of crates/probe: the linear probe at its optimum, standardised features, scores per class, spread.

Made with Python 3.11+:
    pip install -r tests/golden/requirements-newton.txt
    python tests/golden/make_newton.py
writes tests/golden/newton.json. Features are not stored: `features` makes them from a seed by integer arithmetic alone,
and crates/probe/tests/optimum.rs does the same.
"""

import json
import pathlib
import warnings

import numpy as np
import scipy
import sklearn
from scipy.spatial.distance import pdist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, precision_recall_fscore_support
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

assert (np.__version__, scipy.__version__, sklearn.__version__) == ("2.4.6", "1.17.1", "1.9.1")
GRID = [1e-5, 4.64e-5, 2.15e-4, 1e-3, 4.64e-3, 2.15e-2, 0.1, 0.464, 2.15, 10.0]


def bits(seed, domain, index):
    """64 bits per index: splitmix64 of a counter."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed * 1000 + domain) * np.uint64(0xD1342543DE82EF95)
        z = z + (np.asarray(index).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def bell(seed, domain, index):
    """Integers from -510 to 510 with a bell-shaped distribution: four bytes added."""
    z = bits(seed, domain, index)
    return sum(((z >> np.uint64(8 * b)) & np.uint64(255)).astype(np.int64) for b in range(4)) - 510


def features(case):
    """Rows and classes. All values are exact in f32: integers times powers of two."""
    n, d, k, seed = case["train"] + case["test"], case["dim"], case["classes"], case["seed"]
    u = (bits(seed, 0, np.arange(n)) & np.uint64(0xFFFF)).astype(np.int64)
    y = (u * u * k) >> 32  # squares: small classes are the last ones
    y[:k] = np.arange(k)
    centres = bell(seed, 1, np.arange(k * d)).reshape(k, d) * case["signal"] // 16
    unit = 2.0 ** ((bits(seed, 2, np.arange(d)) & np.uint64(7)).astype(np.int64) - 11)
    x = (bell(seed, 3, np.arange(n * d)).reshape(n, d) + centres[y] + 64) * unit
    if case["constant"]:
        x[:, 1] = 0.1015625
    return x, y


def solve(x, y, c):
    """The optimum of mean cross-entropy + |W|^2 / (2 C n), as scikit-learn finds it."""
    k, n = len(np.unique(y)), len(y)
    # For two classes scikit-learn fits one sigmoid, which is our softmax with half the C.
    c = 2 * c if k == 2 else c
    small = k * x.shape[1] <= 4000
    solver = dict(solver="newton-cholesky", tol=1e-12) if small else dict(solver="newton-cg", tol=1e-11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newton-cholesky's line search meets rounding at these tolerances
        fit = LogisticRegression(C=c, max_iter=10000, **solver).fit(x, y)
    objective = log_loss(y, fit.predict_proba(x)) + (fit.coef_**2).sum() / (2 * c * n)
    return fit, objective


def fit_case(x, y, n, c):
    fit, objective = solve(x[:n], y[:n], c)
    predicted = fit.predict(x[n:])
    truth = y[n:]
    p = fit.predict_proba(x[n:])
    k = p.shape[1]
    labels = np.arange(k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of_class = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
        means = {a: precision_recall_fscore_support(truth, predicted, average=a, zero_division=0)[:3] for a in ("macro", "weighted")}
        balanced = balanced_accuracy_score(truth, predicted)
    return {
        "c": c,
        "objective": objective,
        "predicted": "".join(map(str, predicted)),
        "log_loss": float(-np.log(p[np.arange(len(truth)), truth]).mean()),
        "first_row": p[0].tolist(),
        "accuracy": accuracy_score(truth, predicted),
        "balanced_accuracy": balanced,
        "macro_f1": f1_score(truth, predicted, average="macro", zero_division=0),
        "precision": of_class[0].tolist(),
        "recall": of_class[1].tolist(),
        "f1": of_class[2].tolist(),
        "support": of_class[3].tolist(),
        **means,
    }


def choice(x, y, n):
    """Right inner predictions at each C of the grid, folds by group."""
    # Of unequal size, since how GroupKFold orders equals is its own affair; what is left over goes to the last group.
    last = int((np.sqrt(8 * n + 1) - 1) / 2) - 1
    groups = [min(int(g), last) for g in np.repeat(np.arange(60), np.arange(60) + 1)[:n]]
    right, folds = np.zeros(len(GRID), int), np.zeros(n, int)
    for fold, (kept, held) in enumerate(GroupKFold(3).split(x[:n], y[:n], groups)):
        folds[held] = fold
        scale = StandardScaler().fit(x[kept])
        for i, c in enumerate(GRID):
            fit, _ = solve(scale.transform(x[kept]), y[kept], c)
            right[i] += (fit.predict(scale.transform(x[held])) == y[held]).sum()
    return {"groups": groups, "folds": "".join(map(str, folds)), "right": right.tolist(), "c": GRID[int(right.argmax())]}


def spread(x, y):
    s = np.linalg.svd(x, compute_uv=False)
    p = s / (s.sum() + 1e-12) + 1e-7
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    aligned = np.zeros(len(y))
    for i in range(len(y)):
        fellows = (y == y[i]) & (np.arange(len(y)) != i)
        aligned[i] = ((z[fellows] - z[i]) ** 2).sum(1).mean() if fellows.any() else np.nan
    return {
        "median_std": float(np.median(x.std(0))),
        "effective_rank": float(np.exp(-(p * np.log(p)).sum())),
        "alignment": float(np.nanmean(aligned)),
        "uniformity": float(np.log(np.exp(-2 * pdist(z) ** 2).mean())),
    }


def case(name, train, test, dim, classes, signal, cs, constant=False):
    case = {"name": name, "seed": len(name), "train": train, "test": test, "dim": dim, "classes": classes}
    case |= {"signal": signal, "constant": constant}
    x, y = features(case)
    scaled = StandardScaler().fit(x[:train]).transform(x)
    case["sum"] = float(np.abs(x).sum())
    case["raw"] = [fit_case(x, y, train, c) for c in cs]
    case["standardised"] = [fit_case(scaled, y, train, c) for c in cs]
    case["choice"] = choice(x, y, train) if dim < 100 else None
    case["spread"] = spread(x[:train], y[:train])
    return case


cases = [
    case("overlap", 900, 600, 40, 5, 4, [0.02, 2.0]),
    case("wider than 4000", 700, 400, 460, 9, 2, [0.01, 41.4]),
    case("separable", 240, 200, 48, 4, 24, [1.0, 1e4]),
    case("one constant", 600, 300, 12, 3, 6, [0.05, 0.36], constant=True),
    case("two classes", 500, 300, 20, 2, 5, [0.1, 10.0]),
]
out = pathlib.Path(__file__).with_name("newton.json")
out.write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
for c in cases:
    print(c["name"], c["spread"], c["choice"] and (c["choice"]["right"], c["choice"]["c"]))
    for kind in ("raw", "standardised"):
        for f in c[kind]:
            print("  ", kind, f["c"], f["objective"], f["accuracy"], f["macro_f1"])
