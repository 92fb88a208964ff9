"""Golden arrays of RandAugment's operations on Pillow images, as torchvision's v2.RandAugment calls them.

    python3.11 -m venv VENV && VENV/bin/pip install -r tests/golden/requirements-augment.txt
    VENV/bin/python tests/golden/make_rand_augment.py tests/golden/augment

writes rand_augment.npz: the input and, for each `OPERATION MAGNITUDE`, the result. Needs Pillow and NumPy only: torchvision
hands an image to these functions of Pillow with the matrices below.
"""

import pathlib
import sys

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

rng = np.random.RandomState(5)
y, x = np.mgrid[0:45, 0:62].astype(float)
base = 190 + 30 * np.sin(x / 6)[..., None] * np.array([1, 0.4, -0.6]) - 80 * np.exp(-((x - 33) ** 2 + (y - 18) ** 2) / 120)[..., None] * np.array([0.5, 1, 0.7])
pixels = np.clip(base + rng.normal(0, 10, base.shape), 0, 255).astype(np.uint8)
pixels[:5, 20:] = rng.randint(0, 256, (5, 42, 3))
image = Image.fromarray(pixels)


def affine(*matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


OPERATIONS = {
    "ShearX": (lambda m: affine(1, m, 0, 0, 1, 0), (0.09, -0.09, 0.3)),
    "ShearY": (lambda m: affine(1, 0, 0, m, 1, 0), (0.09, -0.09, 0.3)),
    "TranslateX": (lambda m: affine(1, 0, -int(m), 0, 1, 0), (8.4, -8.4)),
    "TranslateY": (lambda m: affine(1, 0, 0, 0, 1, -int(m)), (6.1, -6.1)),
    "Rotate": (lambda m: image.rotate(m, Image.Resampling.NEAREST), (9.0, -9.0, 30.0)),
    "Brightness": (lambda m: ImageEnhance.Brightness(image).enhance(1 + m), (0.27, -0.27)),
    "Color": (lambda m: ImageEnhance.Color(image).enhance(1 + m), (0.27, -0.27, 0.9)),
    "Contrast": (lambda m: ImageEnhance.Contrast(image).enhance(1 + m), (0.27, -0.27, -0.9)),
    "Sharpness": (lambda m: ImageEnhance.Sharpness(image).enhance(1 + m), (0.27, -0.27, 0.9)),
    "Posterize": (lambda m: ImageOps.posterize(image, int(m)), (7, 4)),
    "Solarize": (lambda m: ImageOps.solarize(image, 255 * m), (0.7, 0.5)),
    "AutoContrast": (lambda m: ImageOps.autocontrast(image), (0,)),
    "Equalize": (lambda m: ImageOps.equalize(image), (0,)),
}
arrays = {f"{name} {m}": np.asarray(operate(m)) for name, (operate, magnitudes) in OPERATIONS.items() for m in magnitudes}
np.savez_compressed(pathlib.Path(sys.argv[1]) / "rand_augment.npz", input=pixels, **arrays)
