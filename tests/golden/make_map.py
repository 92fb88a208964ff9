"""Golden values of crates/feature-map, from scikit-learn, umap-learn 0.5 and zadu.

Made with Python 3.11+:
    pip install -r tests/golden/requirements-map.txt
    python tests/golden/make_map.py
writes tests/golden/map.json. Features are not stored, except some of scikit-learn's digits: `features` makes them from a seed
by integer arithmetic alone, and crates/feature-map/tests/feature_map/golden.rs does the same.
"""

import json
import pathlib
import warnings

import numpy as np
import scipy
import sklearn
import umap
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from umap.umap_ import find_ab_params, fuzzy_simplicial_set
from zadu.measures import trustworthiness_continuity

assert (np.__version__, scipy.__version__, sklearn.__version__) == ("2.4.6", "1.17.1", "1.9.1")
assert umap.__version__ == "0.5.12"
warnings.filterwarnings("ignore", message="n_jobs value 1 overridden")
DIGITS = 600
SEEDS = (1, 2, 3)


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
    """Groups of rows around centres; with `fade`, features in falling order of size. All values are exact in f32, and no two
    distances are equal."""
    n, d, k, seed = case["rows"], case["dim"], case["groups"], case["seed"]
    y = ((bits(seed, 0, np.arange(n)) & np.uint64(0xFFFF)) * np.uint64(k) >> np.uint64(16)).astype(np.int64)
    centres = bell(seed, 1, np.arange(k * d)).reshape(k, d) * case["signal"] // 16
    unit = 2.0 ** -(18 + np.arange(d) * case["fade"] // d)
    coarse, fine = (bell(seed, domain, np.arange(n * d)).reshape(n, d) for domain in (2, 3))
    return ((coarse + centres[y]) * 1024 + fine) * unit


def case(rows, dim, groups, signal, fade, seed):
    return {"rows": rows, "dim": dim, "groups": groups, "signal": signal, "fade": fade, "seed": seed}


def short(values, digits=9):
    return [float(f"{v:.{digits}g}") for v in np.asarray(values, dtype=float).ravel()]


def pca_case(k, **draw):
    x = features(draw)
    pca = PCA(k, svd_solver="full").fit(x)
    return {
        "features": draw,
        "mean": short(pca.mean_),
        "components": short(pca.components_),
        "explained_variance": short(pca.explained_variance_),
        "explained_variance_ratio": short(pca.explained_variance_ratio_),
        "places": short(pca.transform(x[:5])),
    }


def graph_case(x, k):
    """Similarities of rows, from exact neighbours in which ties are ordered by index and each row comes first."""
    distances = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))
    order = np.argsort(distances - np.eye(len(x)), axis=1, kind="stable")[:, :k]
    near = np.take_along_axis(distances, order, axis=1)
    graph = fuzzy_simplicial_set(
        x, k, np.random.RandomState(0), "euclidean", knn_indices=order, knn_dists=near.astype(np.float32)
    )[0].tocoo()
    upper = sorted((int(i), int(j), round(float(w), 7)) for i, j, w in zip(graph.row, graph.col, graph.data) if i < j)
    return {"rows": len(x), "neighbours": k, "similarities": upper}


def quality_case(k, **draw):
    """The first two features as a map of all."""
    x = features(draw)
    places = x[:, :2]
    both = trustworthiness_continuity.measure(x, places, k)
    return {
        "features": draw,
        "neighbours": k,
        "trustworthiness": float(trustworthiness(x, places, n_neighbors=k)),
        "zadu": [float(both["trustworthiness"]), float(both["continuity"])],
    }


def map_case(name, x, draw=None):
    """Trustworthiness and continuity (15 neighbours) of umap-learn's maps, each with its defaults."""
    x = x.astype(np.float32)
    found = []
    for seed in SEEDS:
        places = umap.UMAP(random_state=seed).fit_transform(x)
        both = trustworthiness_continuity.measure(x.astype(float), places.astype(float), 15)
        found.append([float(both["trustworthiness"]), float(both["continuity"])])
        print(f"{name}: seed {seed}: trustworthiness {found[-1][0]:.4f}, continuity {found[-1][1]:.4f}")
    mean = np.mean(found, axis=0)
    return {"name": name, "features": draw, "trustworthiness": short([mean[0]])[0], "continuity": short([mean[1]])[0]}


digits = load_digits().data[:DIGITS].astype(int)
curves = [(0.1, 1.0), (0.0, 1.0), (0.5, 1.0), (0.99, 1.0), (0.25, 2.0)]
blobs = case(1000, 20, 8, 48, 0, 11)
anisotropic = case(1000, 64, 10, 24, 5, 12)
golden = {
    "digits": "".join("0123456789abcdefg"[v] for v in digits.ravel()),
    "curves": [[*at, *map(float, find_ab_params(at[1], at[0]))] for at in curves],
    "pca": [
        pca_case(5, **case(300, 20, 4, 16, 3, 1)),
        pca_case(4, **case(30, 60, 3, 16, 0, 2)),
        pca_case(2, **case(1500, 96, 6, 32, 4, 3)),
    ],
    "graph": graph_case(digits[:80].astype(float), 10),
    "quality": [quality_case(5, **case(400, 12, 4, 32, 2, 4)), quality_case(15, **case(700, 6, 3, 16, 1, 5))],
    "maps": [
        map_case("blobs", features(blobs), blobs),
        map_case("digits", digits),
        map_case("anisotropic", features(anisotropic), anisotropic),
    ],
}
out = pathlib.Path(__file__).with_name("map.json")
out.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
