"""Moments of the parameters that Albumentations 1.3.1 draws, for a test of our own draws.

    python3.11 -m venv VENV && VENV/bin/pip install -r tests/golden/requirements-augment.txt
    VENV/bin/python tests/golden/make_augment_draws.py tests/golden/augment

writes draws.json: for each transform and each parameter, over 10^5 draws (2000 where one draw holds 50 numbers or more, as fields of
noise do), of all numbers in it: mean, standard deviation, least, greatest, and how many there are in a draw on average.
ISONoise and ElasticTransform draw more while they are applied: those fields count as parameters, under our names.
"""

import importlib.util
import json
import math
import numbers
import pathlib
import random
import sys
import warnings

import albumentations as A
import numpy as np
from albumentations import random_utils

warnings.filterwarnings("ignore")
here = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("make_augment", here / "make_augment.py")
make_augment = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_augment)

HEIGHT, WIDTH = 40, 36
# Black, but for some bright columns: the spread of lightness decides what ISONoise draws.
BRIGHT_COLUMNS = 12
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
IMAGE[:, :BRIGHT_COLUMNS] = 255
# What is drawn during apply, in its order.
WHILE_APPLIED = {"ISONoise": ["luminance_noise", "color_noise"], "ElasticTransform": ["points", "across", "down"]}


def flat(value, out):
    if isinstance(value, np.ndarray):
        out.extend(value.ravel().tolist())
    elif isinstance(value, (list, tuple)):
        for item in value:
            flat(item, out)
    elif isinstance(value, numbers.Number) and not isinstance(value, bool):
        out.append(float(value))
    return out


def draw(transform):
    params = transform.get_params()
    if transform.targets_as_params:
        params.update(transform.get_params_dependent_on_targets({"image": IMAGE}))
    fields = WHILE_APPLIED.get(type(transform).__name__, [])
    if fields:
        drawn = []
        real = {kind: getattr(random_utils, kind) for kind in ("poisson", "normal", "uniform", "rand")}
        for kind, function in real.items():
            setattr(random_utils, kind, lambda *a, f=function, **k: drawn.append(np.asarray(f(*a, **k))) or drawn[-1])
        transform.apply(IMAGE.copy(), **transform.update_params(dict(params), image=IMAGE))
        for kind, function in real.items():
            setattr(random_utils, kind, function)
        params.update(zip(fields, drawn, strict=True))
    params.pop("random_state", None)
    return {key: flat(value, []) for key, value in params.items()}


def moments(transform):
    first = draw(transform)
    count = 2000 if any(len(values) >= 50 for values in first.values()) else 100_000
    sums = {}
    for _ in range(count):
        for key, values in draw(transform).items():
            s = sums.setdefault(key, [0, 0.0, 0.0, math.inf, -math.inf])
            if values:
                s[0] += len(values)
                s[1] += math.fsum(values)
                s[2] += math.fsum(v * v for v in values)
                s[3], s[4] = min(s[3], min(values)), max(s[4], max(values))
    out = {}
    for key, (n, total, squares, low, high) in sums.items():
        if n:
            mean = total / n
            std = math.sqrt(max(0.0, squares / n - mean * mean))
            out[key] = {"mean": mean, "std": std, "min": low, "max": high, "per_draw": n / count, "draws": count}
    return out


def main():
    result = {"height": HEIGHT, "width": WIDTH, "bright_columns": BRIGHT_COLUMNS, "transforms": {}}
    for index, name in enumerate(make_augment.OPS + make_augment.FURTHER):
        random.seed(index)
        np.random.seed(index)
        result["transforms"][name] = moments(getattr(A, name)(p=1))
        print(name, flush=True)
    (pathlib.Path(sys.argv[1]) / "draws.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
