"""Maps of crates/feature-map beside those of umap-learn 0.5, in one run: `make measure-map`.

    pip install -r tests/golden/requirements-map.txt
    python bench/map/peer.py target/debug/examples/measure_map

Three sets of 8,985 to 20,000 rows. Nine tenths of each are mapped, and the rest is placed on that map. One program
(crates/feature-map, which tests compare with scikit-learn and zadu) measures the trustworthiness and continuity of all maps
with 15 neighbours: of the mapped rows, and of all rows together. umap-learn gives the same map twice only on one thread, with
a seed; without a seed it uses all threads. What it compiles before its first map is not counted.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import umap
from sklearn.datasets import load_digits

warnings.filterwarnings("ignore", message="n_jobs value 1 overridden")
warnings.filterwarnings("ignore", message="Graph is not fully connected")
rng = np.random.default_rng(20250226)


def blobs(rows=10_000, dim=50, groups=12):
    """Round groups that no edge of the graph joins."""
    centres = 3 * rng.normal(size=(groups, dim))
    return centres[rng.integers(0, groups, rows)] + rng.normal(size=(rows, dim))


def digits():
    """scikit-learn's digits and each of them moved by a pixel in four directions: a curved manifold."""
    images = np.pad(load_digits().data.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    shifts = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    return np.concatenate([images[:, y : y + 8, x : x + 8] for y, x in shifts]).reshape(-1, 64)


def features(rows=20_000, dim=384, groups=12):
    """Like features of a vision model: a spectrum that falls as a power, overlapping groups of unequal size and width, a curve."""
    size = np.arange(1, dim + 1) ** -0.8
    group = rng.choice(groups, rows, p=rng.dirichlet(np.ones(groups)))
    x = rng.normal(size=(rows, dim)) * np.exp(0.3 * rng.normal(size=(groups, dim)))[group]
    x = (x + 1.2 * rng.normal(size=(groups, dim))[group]) * size
    along = rng.uniform(-1, 1, rows)
    x[:, 0] += 2 * along
    x[:, 1] += 2 * along**2
    return 10 * x @ np.linalg.qr(rng.normal(size=(dim, dim)))[0]


def ours(program, folder, fitted, new, dim):
    run = [program, "fit", folder / "fitted", str(dim), "1", folder / "places", folder / "new"]
    took = json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout)
    return np.fromfile(folder / "places", "<f4").reshape(-1, 2), took["fit_s"], took["transform_s"]


def peer(fitted, new, seed):
    start = time.perf_counter()
    model = umap.UMAP(random_state=seed).fit(fitted)
    fit_s = time.perf_counter() - start
    start = time.perf_counter()
    placed = model.transform(new)
    return np.concatenate([model.embedding_, placed]), fit_s, time.perf_counter() - start


def quality(program, folder, x, places):
    x.astype("<f4").tofile(folder / "rows")
    places.astype("<f4").tofile(folder / "shown")
    run = [program, "quality", folder / "rows", str(x.shape[1]), folder / "shown"]
    found = json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout)
    return found["trustworthiness"], found["continuity"]


def measure(program, folder, name, x):
    x = x.astype("<f4")[rng.permutation(len(x))]
    mapped = len(x) * 9 // 10
    fitted, new = x[:mapped], x[mapped:]
    fitted.tofile(folder / "fitted")
    new.tofile(folder / "new")
    makers = {
        "feature-map": lambda: ours(program, folder, fitted, new, x.shape[1]),
        "umap-learn, seed": lambda: peer(fitted, new, 1),
        "umap-learn, threads": lambda: peer(fitted, new, None),
    }
    for maker, make in makers.items():
        places, fit_s, transform_s = make()
        t, c = quality(program, folder, fitted, places[:mapped])
        t_all, c_all = quality(program, folder, x, places)
        print(
            f"{name:9} {len(x):6} {x.shape[1]:4}  {maker:20} {t:.4f} {c:.4f} {fit_s:7.1f} {t_all:10.4f} {c_all:.4f} {transform_s:7.1f}",
            flush=True,
        )


program = sys.argv[1]
warm_up = rng.normal(size=(5000, 4)).astype("<f4")
for seed in (1, None):
    umap.UMAP(random_state=seed, n_epochs=9).fit(warm_up).transform(warm_up[:9] + 0.1)
print(f"{'set':9} {'rows':>6} {'dim':>4}  {'map by':20} {'trust.':6} {'cont.':6} {'s':>7} {'with new':>10} {'':6} {'s':>7}")
with tempfile.TemporaryDirectory() as folder:
    for make in (blobs, digits, features):
        measure(program, pathlib.Path(folder), make.__name__, make())
