"""Golden arrays of the stain transforms, by others' implementations.

    python3.11 -m venv VENV && VENV/bin/pip install -r tests/golden/requirements-stain.txt
    VENV/bin/python tests/golden/make_stain.py tests/golden/augment

writes stain.npz: inputs `NAME` and results `NAME OP NUMBER`, and stain.json with the constructor arguments and parameters of each.
HED jitter goes through scikit-image's `rgb2hed` and `hed2rgb` (amounts below 0 cut there; where they are kept, through
`separate_stains` without the cut, by its own matrices), Macenko's normalisation through torchstain's NumPy backend, and
Reinhard's is written below from the paper (no package found does it in the paper's own lαβ).
"""

import json
import pathlib
import sys

import numpy as np
from skimage.color import hed2rgb, hed_from_rgb, rgb2hed
from torchstain.numpy.normalizers.macenko import NumpyMacenkoNormalizer


def smear(height, width, seed, dyes):
    """Cells with a nucleus on bright glass; each dye takes its own densities."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    density = np.full((height, width, 3), 0.06) + 0.02 * (x / width)[..., None]
    for _ in range(14):
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(5, 10)
        d = np.hypot(y - cy, x - cx)
        cell = 1 / (1 + np.exp((d - r) * 2))
        nucleus = 1 / (1 + np.exp((d - 0.5 * r) * 3)) * (rng.rand() < 0.5)
        density += cell[..., None] * np.array(dyes[1]) * rng.uniform(0.4, 0.8) + nucleus[..., None] * np.array(dyes[0]) * rng.uniform(0.6, 1.2)
    return np.clip(245 * np.exp(-density) + rng.normal(0, 1.5, density.shape), 0, 255).astype(np.uint8)


def hed_jitter(image, scale, shift, cut):
    if cut:
        hed = rgb2hed(image)
    else:
        hed = np.log(np.maximum(image / 255, 1e-6)) / np.log(1e-6) @ hed_from_rgb
    return np.rint(hed2rgb(hed * scale + shift) * 255).astype(np.uint8)


def macenko(image, light=240, alpha=1, beta=0.15, target_stains=None, target_max=None):
    normalizer = NumpyMacenkoNormalizer()
    if target_stains is not None:
        normalizer.HERef, normalizer.maxCRef = np.array(target_stains).T, np.array(target_max)
    return normalizer.normalize(image, Io=light, alpha=alpha, beta=beta, stains=False)[0]


def reinhard(image, target_mean, target_std):
    lms_from_rgb = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
    lab_from_logs = np.diag(1 / np.sqrt([3, 6, 2])) @ np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]])
    lab = np.log10(np.maximum(image.astype(float), 1) @ lms_from_rgb.T) @ lab_from_logs.T
    lab = (lab - lab.mean((0, 1))) / lab.std((0, 1)) * target_std + target_mean
    rgb = 10 ** (lab @ np.linalg.inv(lab_from_logs).T) @ np.linalg.inv(lms_from_rgb).T
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


giemsa = smear(48, 57, 1, [(0.9, 0.8, 0.3), (0.15, 0.5, 0.35)])
eosin = smear(52, 44, 2, [(0.65, 0.7, 0.29), (0.07, 0.99, 0.11)])
inputs = {"giemsa": giemsa, "eosin": eosin, "noise": np.random.RandomState(4).randint(0, 256, (31, 33, 3)).astype(np.uint8)}
own = {"target_stains": [[0.62, 0.70, 0.35], [0.12, 0.85, 0.50]], "target_max": [1.5, 1.2]}
CASES = [
    ("HEDJitter", {"cut_negative": cut}, {"scale": scale, "shift": shift}, lambda i, c=cut, a=scale, b=shift: hed_jitter(i, a, b, c))
    for cut in (True, False)
    for scale, shift in [([1, 1, 1], [0, 0, 0]), ([0.95, 1.04, 1.02], [0.01, -0.008, 0.004]), ([0.5, 1.6, 1.2], [0.05, 0.02, -0.05])]
] + [("MacenkoNormalize", a, {}, lambda i, a=a: macenko(i, **a)) for a in ({}, {"light": 250.0, "alpha": 5.0, "beta": 0.2}, own)] + [
    ("ReinhardNormalize", a, {}, lambda i, a=a: reinhard(i, **a))
    for a in (
        {"target_mean": [3.945, 0.0159, 0.0106], "target_std": [0.188, 0.0693, 0.0056]},
        {"target_mean": [3.7, 0.03, -0.01], "target_std": [0.1, 0.02, 0.02]},
    )
]
arrays, cases = dict(inputs), []
for number, (op, init, params, apply) in enumerate(CASES):
    for name, image in inputs.items():
        arrays[f"{name} {op} {number}"] = apply(image)
        cases.append({"transform": op, "input": name, "result": f"{name} {op} {number}", "init": init, "params": params})
folder = pathlib.Path(sys.argv[1])
np.savez_compressed(folder / "stain.npz", **arrays)
(folder / "stain.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
