"""Makes tests/golden/segment.json: what SciPy and scikit-image say about small masks and sets of values.

Pins: tests/golden/requirements-stain.txt (SciPy 1.17.1, scikit-image 0.26.0). Run from anywhere: python make_segment.py
"""

import json
import pathlib

import numpy as np
from scipy import ndimage
from skimage import filters, measure

OUT = pathlib.Path(__file__).parent / "segment.json"
rng = np.random.default_rng(5)
y, x = np.mgrid[0:31, 0:40]

masks = {
    "disc": (x - 18) ** 2 + (y - 15) ** 2 < 144,
    "two discs": ((x - 11) ** 2 + (y - 15) ** 2 < 90) | ((x - 26) ** 2 + (y - 14) ** 2 < 110),
    "ellipse": (x - 19) ** 2 / 300 + (y - 15) ** 2 / 40 < 1,
    "ring": np.abs(np.hypot(x - 20, y - 15) - 9) < 3,
    "speckles": rng.random((31, 40)) < 0.8,
    "bar": (y > 10) & (y < 14) & (x > 3) & (x < 30),
}
cases = []
for name, mask in masks.items():
    assert not mask[0, 0] or name == "speckles"
    distance = ndimage.distance_transform_edt(mask)
    cases.append(
        {
            "name": name,
            "rows": ["".join("#" if inside else "." for inside in row) for row in mask],
            "squared_distance": np.rint(distance**2).astype(int).ravel().tolist(),
            "perimeter": float(measure.perimeter(mask)),
        }
    )

thresholds = []
for sizes in [(400, 600), (100, 900), (800, 50)]:
    values = np.concatenate([rng.normal(0.6, 0.04, sizes[0]), rng.normal(1.0, 0.02, sizes[1])]).astype(np.float32)
    thresholds.append({"values": [float(value) for value in values], "otsu": float(filters.threshold_otsu(values))})

OUT.write_text(json.dumps({"masks": cases, "thresholds": thresholds}, separators=(",", ":")) + "\n")
