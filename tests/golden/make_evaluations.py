"""Golden values of crates/probe: the further probes and evaluations.

Made with Python 3.11+:
    pip install -r tests/golden/requirements-evaluations.txt
    python tests/golden/make_evaluations.py
writes tests/golden/evaluations.json, with the features, as integers in units of 1/64.
"""

import json
import pathlib
import warnings

import numpy as np
import scipy
import sklearn
import skimage
from skimage.measure import moments_central, moments_hu, moments_normalized
from sklearn.calibration import calibration_curve
from sklearn.dummy import DummyClassifier
from sklearn.metrics import average_precision_score, balanced_accuracy_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid, NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

assert (np.__version__, scipy.__version__, sklearn.__version__, skimage.__version__) == ("2.4.6", "1.17.1", "1.9.1", "0.26.0")
T, K, NEAREST_NORMALS, NEIGHBOURS, BINS = 0.07, 20, 5, 20, 15
ROWS, DIM, CLASSES = 240, 6, 4

draws = np.random.default_rng(7)
group = np.arange(ROWS) // 10  # 24 groups of 10 cells
fold, source = group % 3, group // 3 % 2
shares = [[0.55, 0.15, 0.2, 0.1], [0.25, 0.45, 0.2, 0.1]]
label = np.array([draws.choice(CLASSES, p=shares[s]) for s in source])
centres = draws.normal(0, 40, (CLASSES, DIM))
shift = draws.normal(0, 30, (2, DIM))
units = np.rint(centres[label] + shift[source] + draws.normal(0, 48, (ROWS, DIM)) + 20).astype(int)
x = units / 64
golden = {"units": units.ravel().tolist(), "dim": DIM}
golden |= {name: value.tolist() for name, value in [("label", label), ("group", group), ("fold", fold), ("source", source)]}
folds = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(3)]
norm = np.sqrt((x.astype(np.float32).astype(float) ** 2).sum(1, keepdims=True))
unit = (x * (1 / norm)).astype(np.float32).astype(float)


def by_fold(predict):
    out = np.zeros(ROWS, int)
    for train, test in folds:
        out[test] = predict(train, test)
    return "".join(map(str, out))


# The vote by cosine similarity.
probabilities = np.zeros((ROWS, CLASSES))
for train, test in folds:
    vote = KNeighborsClassifier(K, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / T))
    probabilities[test] = vote.fit(x[train], label[train]).predict_proba(x[test])
golden["knn_cosine"] = {"predicted": "".join(map(str, probabilities.argmax(1))), "probabilities": probabilities.ravel().round(9).tolist()}
golden["nearest_mean"] = by_fold(lambda train, test: NearestCentroid().fit(x[train], label[train]).predict(x[test]))

# A network from weights that are given by a formula; scikit-learn starts from them under warm_start.
hidden = 5
z = StandardScaler().fit_transform(x)
start = lambda rows, columns: ((7 * np.arange(columns)[None] + 3 * np.arange(rows)[:, None] + np.outer(np.arange(rows), np.arange(columns))) % 11 - 5) / 16
network = MLPClassifier((hidden,), activation="tanh", solver="lbfgs", alpha=1.0, max_iter=1, tol=1e-5, warm_start=True, max_fun=10**6)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    network.fit(z, label)
    network.coefs_, network.intercepts_ = [start(DIM, hidden), start(hidden, CLASSES)], [np.full(hidden, 0.25), np.full(CLASSES, -0.125)]
    objective = lambda: log_loss(label, network.predict_proba(z)) + sum((w**2).sum() for w in network.coefs_) / (2 * ROWS)
    first = objective()
    first_row = network.predict_proba(z)[0].tolist()
    network.max_iter = 500
    network.fit(z, label)
golden["mlp"] = {"hidden": hidden, "start": first, "first_row": first_row, "end": objective(), "steps": int(network.n_iter_), "predicted": "".join(map(str, network.predict(z)))}

# Calibration, of probabilities in steps of 1/64 with ties.
counts = np.array([draws.multinomial(64, draws.dirichlet(np.full(CLASSES, 0.4) + 4 * (label[i] == np.arange(CLASSES)) * draws.random())) for i in range(ROWS)])
p = counts / 64
confidence, right = p.max(1), p.argmax(1) == label
share, mean = calibration_curve(right, confidence, n_bins=BINS, strategy="uniform")
edges = np.linspace(0, 1, BINS + 1)
weight = np.bincount(np.searchsorted(edges[1:-1], confidence), minlength=BINS)
weight = weight[weight > 0] / ROWS
order = np.argsort(-confidence, kind="stable")
risk = np.cumsum(~right[order]) / np.arange(1, ROWS + 1)
golden["calibration"] = {
    "counts": counts.ravel().tolist(),
    "error": float((weight * np.abs(share - mean)).sum()),
    "brier": brier_score_loss(label, p, scale_by_half=False),
    "risk_at_90": float(risk[int(np.ceil(0.9 * ROWS)) - 1]),
    "risk_at_25": float(risk[int(np.ceil(0.25 * ROWS)) - 1]),
    "area": float(risk.mean()),
}

# Ranking with ties.
score, wanted = draws.integers(0, 12, 80), draws.random(80) < 0.3
golden["ranking"] = {"score": score.tolist(), "wanted": wanted.tolist(), "auroc": roc_auc_score(wanted, score), "aupr": average_precision_score(wanted, score)}

# Anomalies: the largest class is normal.
normal = int(np.bincount(label).argmax())
distance = np.zeros(ROWS)
for train, test in folds:
    bank = unit[train[label[train] == normal]]
    distance[test] = NearestNeighbors(n_neighbors=NEAREST_NORMALS, algorithm="brute").fit(bank).kneighbors(unit[test])[0].mean(1)
golden["anomaly"] = {"normal": normal, "classes": []}
for c in [c for c in range(CLASSES) if c != normal] + [None]:
    kept = (label == normal) | (c is None) | (label == c)
    truth = label[kept] != normal
    golden["anomaly"]["classes"].append([roc_auc_score(truth, distance[kept]), average_precision_score(truth, distance[kept]), float(truth.mean())])

# Neighbours of other folds: same class and other source, same source and other class.
so = os = all_so = all_os = 0
for train, test in folds:
    near = train[NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(unit[train]).kneighbors(unit[test])[1]]
    same_class, same_source = label[near] == label[test][:, None], source[near] == source[test][:, None]
    so, os = so + (same_class & ~same_source).sum(), os + (same_source & ~same_class).sum()
    same_class, same_source = label[train] == label[test][:, None], source[train] == source[test][:, None]
    all_so, all_os = all_so + (same_class & ~same_source).sum(), all_os + (same_source & ~same_class).sum()
near = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(unit).kneighbors()[1]  # without the cell itself
same_class, same_group = label[near] == label[:, None], group[near] == group[:, None]
gso, gos = (same_class & ~same_group).sum(), (same_group & ~same_class).sum()
golden["robustness"] = {"index": float(so / (so + os)), "chance": float(all_so / (all_so + all_os)), "by_group": float(gso / (gso + gos))}


# Controls: balanced accuracy of the most frequent class, of all and of each source, fold by fold.
def control(keys):
    out = []
    for train, test in folds:
        predicted = np.zeros(len(test), int)
        for key in np.unique(keys):
            here = keys[train] == key
            dummy = DummyClassifier().fit(x[train][here], label[train][here])
            predicted[keys[test] == key] = dummy.predict(x[test][keys[test] == key])
        out.append(balanced_accuracy_score(label[test], predicted))
    return out


golden["controls"] = {"largest_class": control(np.zeros(ROWS, int)), "source_alone": control(source)}

# Hu's moments of a lopsided mask.
y, x0 = np.mgrid[:40, :50]
mask = ((x0 - 20) ** 2 * 4 + (y - 18) ** 2 * 9 < 1800) & (2 * x0 + y < 78) | ((x0 - 30) ** 2 + (y - 25) ** 2 < 30)
golden["hu"] = moments_hu(moments_normalized(moments_central(mask.astype(float)))).tolist()
out = pathlib.Path(__file__).with_name("evaluations.json")
out.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
for name in ("mlp", "anomaly", "robustness", "controls"):
    print(name, golden[name])
print({k: v for k, v in golden["calibration"].items() if k != "counts"}, golden["ranking"]["auroc"], golden["ranking"]["aupr"])
