"""Golden values of crates/probe, from scikit-learn.

Made with Python 3.11+, numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1:
    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
    python tests/golden/make_probe.py
writes tests/golden/probe.json. Features are multiples of 1/64 in [-8, 8), so JSON carries them exactly and f32 holds them.
"""

import json
import pathlib
import warnings

import numpy as np
import scipy
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score
from sklearn.neighbors import KNeighborsClassifier

assert (np.__version__, scipy.__version__, sklearn.__version__) == ("2.4.6", "1.17.1", "1.9.1")
rng = np.random.default_rng(20250226)


def grid(x):
    return np.clip(np.round(x * 64), -512, 511) / 64


def blobs(n, dim, classes, spread):
    """Overlapping blobs of unequal size, features of unequal scale."""
    centres = rng.normal(size=(classes, dim))
    share = rng.dirichlet(np.full(classes, 2.0))
    y = np.concatenate([np.arange(classes), rng.choice(classes, n - classes, p=share)])
    scale = np.exp(rng.normal(0, 0.5, dim))
    return grid((centres[y] + rng.normal(0, spread, (n, dim))) * scale), y


def integers(x):
    return (x * 64).astype(int).ravel().tolist()


def probe_case(n_train, n_test, dim, classes, spread):
    x, y = blobs(n_train + n_test, dim, classes, spread)
    order = rng.permutation(len(y))
    x, y = x[order], y[order]
    xt, yt, xv, yv = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
    present = np.unique(yt)
    c = dim * len(present) / 100

    def fit(tol, max_iter):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return LogisticRegression(C=c, max_iter=max_iter, tol=tol).fit(xt, yt)

    published, exact = fit(1e-4, 1000), fit(1e-9, 20000)
    return {
        "dim": dim,
        "train": integers(xt),
        "train_labels": yt.tolist(),
        "test": integers(xv),
        "test_labels": yv.tolist(),
        "knn": {
            str(k): KNeighborsClassifier(k, algorithm="brute").fit(xt, yt).predict(xv).tolist() for k in (1, 20)
        },
        "linear": {
            "c": c,
            "steps": int(published.n_iter_[0]),
            "predicted": published.predict(xv).tolist(),
            "probabilities": published.predict_proba(xv[:10]).ravel().tolist(),
            "coef_tight": exact.coef_.ravel().tolist(),
            "intercept_tight": exact.intercept_.tolist(),
            "probabilities_tight": exact.predict_proba(xv[:10]).ravel().tolist(),
        },
    }


def metric_case(truth, predicted, classes):
    present = np.unique(truth)
    return {
        "classes": classes,
        "truth": truth.tolist(),
        "predicted": predicted.tolist(),
        "accuracy": accuracy_score(truth, predicted),
        "balanced_accuracy": recall_score(truth, predicted, labels=present, average="macro", zero_division=0),
        "weighted_f1": f1_score(truth, predicted, average="weighted", zero_division=0),
        "macro_f1": f1_score(truth, predicted, average="macro", zero_division=0),
        "present": present.tolist(),
        "recall": recall_score(truth, predicted, labels=present, average=None, zero_division=0).tolist(),
    }


def metric_cases():
    for n, classes, right in ((200, 12, 0.5), (37, 4, 0.9), (500, 3, 0.1), (9, 9, 0.3)):
        truth = rng.choice(classes, n, p=rng.dirichlet(np.full(classes, 0.7)))
        predicted = np.where(rng.random(n) < right, truth, rng.choice(classes, n))
        case = metric_case(truth, predicted, classes)
        with warnings.catch_warnings():
            # A prediction of a class that the truth lacks makes it warn, which is the case wanted.
            warnings.simplefilter("ignore")
            assert abs(case["balanced_accuracy"] - balanced_accuracy_score(truth, predicted)) < 1e-14
        yield case


def binary_case():
    """The reference's softmax for two classes equals scikit-learn's sigmoid at twice the C."""
    x, y = blobs(120, 6, 2, 1.5)
    fitted = LogisticRegression(C=2 * 0.12, max_iter=20000, tol=1e-10).fit(x, y)
    return {
        "dim": 6,
        "c": 0.12,
        "train": integers(x),
        "train_labels": y.tolist(),
        "probabilities": fitted.predict_proba(x).ravel().tolist(),
    }


out = pathlib.Path(__file__).with_name("probe.json")
cases = [probe_case(240, 120, 16, 5, 1.6), probe_case(300, 100, 40, 12, 1.3), probe_case(90, 60, 3, 3, 1.0)]
golden = {"probes": cases, "metrics": list(metric_cases()), "binary": binary_case()}
out.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
