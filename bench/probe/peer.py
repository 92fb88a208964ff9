"""The converged linear probes beside scikit-learn's LogisticRegression on three sets of features, in one run.

    python bench/probe/peer.py FIT_LINEAR [ROWSxDIM …]

Agreement of predictions and of metrics, and seconds of the fits alone. Both sides get all cores and rows in double precision;
scikit-learn is given `lbfgs` at a tolerance at which it reaches the optimum, and its default tolerance for comparison.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.preprocessing import StandardScaler

CLASSES = 9
SETS = [(3_000, 96), (12_000, 384), (40_000, 768)]
# Raw features with the published C would be features · classes / 100; this is near what standardised features choose.
C = {"newton": 1.0, "standardised": 1e-2}
TOL, STEPS = 1e-7, 20_000


def features(rows: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes that overlap in correlated features of unequal width, as those of a network are."""
    draws = np.random.default_rng(dim)
    labels = draws.integers(0, CLASSES, rows)
    width = 0.3 * np.arange(1, dim + 1) ** -0.5 * dim ** 0.25
    mix = np.linalg.qr(draws.standard_normal((dim, dim)))[0]
    centres = draws.standard_normal((CLASSES, dim)) * 0.18
    hidden = (centres[labels] + draws.standard_normal((rows, dim))) * width
    return (hidden @ mix + 0.1).astype(np.float32), labels.astype(np.uint32)


def ours(program: str, what: str, folder: pathlib.Path, dim: int, train: int, tested: int) -> tuple[dict, np.ndarray]:
    out = folder / "out"
    args = [program, what, str(C.get(what, 1.0)), str(dim), str(CLASSES), str(train), folder / "features", folder / "labels", out]
    said = subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(said.splitlines()[-1]), np.fromfile(out, dtype=np.uint32, count=tested)


def peer(x: np.ndarray, y: np.ndarray, test: np.ndarray, what: str, tol: float) -> tuple[float, np.ndarray, int, bool]:
    start = time.perf_counter()
    if what != "newton":
        scaler = StandardScaler().fit(x)
        x, test = scaler.transform(x), scaler.transform(test)
    model = LogisticRegression(C=C[what], tol=tol, max_iter=STEPS if tol == TOL else 1000)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(x, y)
    seconds = time.perf_counter() - start
    return seconds, model.predict(test), int(model.n_iter_.max()), not told


METRICS = {
    "accuracy": accuracy_score,
    "balanced accuracy": balanced_accuracy_score,
    "weighted F1": lambda a, b: f1_score(a, b, average="weighted"),
    "macro F1": lambda a, b: f1_score(a, b, average="macro"),
}


def main(program: str, sets: list[tuple[int, int]]) -> int:
    print(f"scikit-learn {sklearn.__version__}; seconds of the fit alone, one run")
    print("| rows × features | probe | reddino s | bound of the gap | scikit-learn s (steps) | at its default tolerance | same predictions | largest difference of a metric |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    wrong = 0
    for rows, dim in sets:
        x, y = features(rows, dim)
        train = rows * 4 // 5
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            x.tofile(folder / "features")
            y.tofile(folder / "labels")
            wide, truth = x.astype(np.float64), y[train:]
            for what in ("newton", "standardised"):
                told, predicted = ours(program, what, folder, dim, train, rows - train)
                seconds, others, steps, converged = peer(wide[:train], y[:train], wide[train:], what, TOL)
                usual, _, usual_steps, usually = peer(wide[:train], y[:train], wide[train:], what, 1e-4)
                same = float(np.mean(predicted == others))
                off = max(abs(metric(truth, predicted) - metric(truth, others)) for metric in METRICS.values())
                ok = not converged or (same >= 0.9999 and off <= 1e-4)
                wrong += not ok
                note = "" if converged else ", not converged"
                usual_note = "" if usually else ", not converged"
                print(f"| {rows:,} × {dim} | {what}, C = {C[what]:g} | {told['seconds']:.2f} | {told['gap']:.0e} "
                      f"| {seconds:.2f} ({steps}{note}) | {usual:.2f} ({usual_steps}{usual_note}) | {100 * same:.2f} % | {off:.1e} |", flush=True)
            told, _ = ours(program, "chosen", folder, dim, train, rows - train)
            print(f"| {rows:,} × {dim} | standardised, C chosen: {told['c']:g} | {told['seconds']:.2f} | {told['gap']:.0e} | | | | |", flush=True)
    if wrong:
        print(f"{wrong} of the fits disagree: predictions must be the same for 99.99 %, metrics within 1e-4")
    return 1 if wrong else 0


if __name__ == "__main__":
    chosen = [tuple(map(int, size.split("x"))) for size in sys.argv[2:]]
    sys.exit(main(sys.argv[1], chosen or SETS))
