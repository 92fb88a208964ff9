"""Golden arrays of torchvision's operations on PIL images: DINOv2's colour changes, crops' resize, evaluation's input.

    python3.11 -m venv VENV && VENV/bin/pip install torchvision==0.26.0 pillow==13.0.0 numpy==2.4.6
    VENV/bin/python tests/golden/make_augment_pil.py tests/golden/augment

writes pil.npz: the input and, for each setting, the result under a name that states it.
"""

import pathlib
import sys

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as F

x, y = np.meshgrid(np.arange(60.0), np.arange(44.0))
rng = np.random.RandomState(3)
base = 200 + 40 * np.sin(x / 7)[..., None] * np.array([1, 0.3, -0.5]) - 90 * np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 150)[..., None] * np.array([0.4, 1, 0.8])
pixels = np.clip(base + rng.normal(0, 12, base.shape), 0, 255).astype(np.uint8)
pixels[:6] = rng.randint(0, 256, (6, 60, 3))
image = Image.fromarray(pixels)

out = {"input": pixels}
for f in (0.6, 0.93, 1.4):
    out[f"brightness {f}"] = F.adjust_brightness(image, f)
    out[f"contrast {f}"] = F.adjust_contrast(image, f)
    out[f"saturation {f}"] = F.adjust_saturation(image, f)
for f in (-0.1, -0.003, 0.04, 0.1):
    out[f"hue {f}"] = F.adjust_hue(image, f)
for s in (0.1, 0.7, 2.0):
    out[f"blur {s}"] = F.gaussian_blur(image, [9, 9], [s, s])
out["grayscale 0"] = F.to_grayscale(image, 3)
for side in (28, 50, 98):
    out[f"bicubic {side}"] = F.resize(image, [side, side], F.InterpolationMode.BICUBIC)
    out[f"bilinear {side}"] = F.resize(image, [side, side], F.InterpolationMode.BILINEAR)
arrays = {k: np.asarray(v) for k, v in out.items()}
probe = F.to_tensor(F.resize(image, [28, 28]))
arrays["probe 28"] = F.normalize(probe, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).numpy()
np.savez_compressed(pathlib.Path(sys.argv[1]) / "pil.npz", **arrays)
print(len(arrays), "arrays, torch", torch.__version__, "numpy", np.__version__)
