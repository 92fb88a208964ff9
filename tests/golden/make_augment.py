"""Golden cases of the pixel transforms, made by Albumentations 1.3.1 on OpenCV 4.11 (x86-64 with AVX2).

    python3.11 -m venv VENV && VENV/bin/pip install -r tests/golden/requirements-augment.txt
    VENV/bin/python tests/golden/make_augment.py tests/golden/augment

writes inputs.npz (the images), cases.json (transform, input, parameters, constructor arguments) and cases-*.npz
(expected pixels `NNN`, recorded arrays `NNN.NAME`). The numbers it draws are fixed; a second run writes the same arrays.
A transform has eight settings of its constructor (the first is the defaults) on each of four images.
`--per-op N --wide` makes N cases of each transform on more images, for a broader check that is not kept:

    VENV/bin/python tests/golden/make_augment.py DIR --per-op 40 --wide
    REDDINO_AUGMENT_CASES=DIR cargo test --test augment golden

`--patches FILE ...` takes the middles of real images, up to 224 pixels a side, in the place of the synthetic ones
(`bench/augment/parity.sh` does that).
"""

import argparse
import json
import pathlib
import random
import warnings

import albumentations as A
import cv2
import numpy as np
from albumentations import random_utils
from albumentations.augmentations.crops.transforms import RandomResizedCrop

warnings.filterwarnings("ignore")

OPS = (
    "Blur CLAHE ChannelShuffle ChannelDropout ColorJitter Defocus Downscale Emboss Equalize FancyPCA GaussNoise "
    "GaussianBlur GlassBlur HueSaturationValue ISONoise ImageCompression InvertImg MedianBlur MotionBlur "
    "MultiplicativeNoise Posterize RandomBrightnessContrast RGBShift RandomGamma RandomRain RandomShadow RandomSnow "
    "RandomSunFlare RandomToneCurve RandomFog RingingOvershoot Sharpen Solarize"
).split()
# Enabled in the published configuration but never drawn there.
FURTHER = "ElasticTransform GridDistortion OpticalDistortion".split()
GEOMETRIC = {
    "HorizontalFlip": lambda: A.HorizontalFlip(p=1),
    "VerticalFlip": lambda: A.VerticalFlip(p=1),
    "RandomRotate90": lambda: A.RandomRotate90(p=1),
    "Resize": lambda: A.Resize(random.choice([24, 37, 56]), random.choice([20, 41, 49]), interpolation=1),
    "RandomResizedCrop": lambda: RandomResizedCrop(49, 42, scale=(0.05, 1.0), interpolation=1),
}
# OpenCV's numbers of interpolations, for the distortions.
WAYS = (1, 1, 2, 4, 0, 3, 1, 2)
# Settings of a constructor, by number from 1 to 7; 0 is the defaults. ChannelShuffle and InvertImg take no arguments.
SETTINGS = {
    "Blur": lambda k: dict(blur_limit=(3, 3 + 2 * k)),
    "CLAHE": lambda k: dict(clip_limit=(1, 6 * k), tile_grid_size=(k, 8 - k)),
    "ChannelDropout": lambda k: dict(channel_drop_range=(1, 1 + k % 2), fill_value=36 * k),
    "ColorJitter": lambda k: dict(brightness=0.13 * k, contrast=0.9 - 0.1 * k, saturation=0.2 * (k % 4), hue=0.07 * k),
    "Defocus": lambda k: dict(radius=(k, k + 3), alias_blur=(0.1 * k, 0.25 * k)),
    "Downscale": lambda k: dict(
        scale_min=0.1 * k, scale_max=0.12 * k, interpolation=(None, 0, 1, 3, 4, dict(downscale=3, upscale=2), 1, dict(downscale=0, upscale=4))[k],
    ),
    "Emboss": lambda k: dict(alpha=(0.1 * k, 0.14 * k), strength=(0.3 * k, 0.4 * k)),
    "Equalize": lambda k: dict(mode=("cv", "pil")[k % 2], by_channels=k % 4 > 1),
    "FancyPCA": lambda k: dict(alpha=0.15 * k),
    "GaussNoise": lambda k: dict(var_limit=(5 * k, 80 * k * k), mean=3 * k - 9, per_channel=k % 2 == 0),
    "GaussianBlur": lambda k: dict(blur_limit=(3, 3 + 2 * k), sigma_limit=(0.2 * k, 0.5 * k)),
    "GlassBlur": lambda k: dict(sigma=0.3 * k, max_delta=1 + k % 4, iterations=1 + k % 3),
    "HueSaturationValue": lambda k: dict(hue_shift_limit=20 * k, sat_shift_limit=150 - 20 * k, val_shift_limit=15 * k),
    "ISONoise": lambda k: dict(color_shift=(0.02 * k, 0.03 * k), intensity=(0.1 * k, 0.12 * k)),
    "ImageCompression": lambda k: dict(quality_lower=13 * k, quality_upper=14 * k),
    "MedianBlur": lambda k: dict(blur_limit=(3 + 2 * (k % 3), 5 + 2 * (k % 3))),
    "MotionBlur": lambda k: dict(blur_limit=(3 + 2 * (k % 4), 5 + 2 * k), allow_shifted=k % 2 == 0),
    "MultiplicativeNoise": lambda k: dict(multiplier=(0.1 * k, 0.3 * k), per_channel=k % 2 == 1, elementwise=k % 4 > 1),
    "Posterize": lambda k: dict(num_bits=(k, k + 1)),
    "RandomBrightnessContrast": lambda k: dict(brightness_limit=0.1 * k, contrast_limit=0.8 - 0.1 * k, brightness_by_max=k % 2 == 0),
    "RGBShift": lambda k: dict(r_shift_limit=30 * k, g_shift_limit=220 - 30 * k, b_shift_limit=12 * k),
    "RandomGamma": lambda k: dict(gamma_limit=(20 * k, 45 * k)),
    "RandomRain": lambda k: dict(
        slant_lower=-2 * k, slant_upper=20 - 2 * k, drop_length=3 * k, drop_width=1 + k % 5, drop_color=(10 * k, 250, 99), blur_value=k,
        brightness_coefficient=0.12 * k, rain_type=(None, None, "drizzle")[k % 3],
    ),
    "RandomShadow": lambda k: dict(
        shadow_roi=(0.1 * k, 0, 1, 1 - 0.1 * k), num_shadows_lower=1, num_shadows_upper=k, shadow_dimension=2 + k
    ),
    "RandomSnow": lambda k: dict(snow_point_lower=0.1 * k, snow_point_upper=0.14 * k, brightness_coeff=0.5 * k),
    "RandomSunFlare": lambda k: dict(
        flare_roi=(0.05 * k, 0.1, 0.9, 1 - 0.1 * k), angle_lower=0.1 * k, angle_upper=0.14 * k,
        num_flare_circles_lower=k, num_flare_circles_upper=2 * k + 1, src_radius=30 * k, src_color=(250, 35 * k, 90),
    ),
    "RandomToneCurve": lambda k: dict(scale=0.12 * k),
    "RandomFog": lambda k: dict(fog_coef_lower=0.1 * k, fog_coef_upper=0.14 * k, alpha_coef=0.1 * k),
    "RingingOvershoot": lambda k: dict(blur_limit=(3 + 2 * (k % 6), 15), cutoff=(0.3 * k, 0.4 * k)),
    "Sharpen": lambda k: dict(alpha=(0.1 * k, 0.14 * k), lightness=(0.2 * k, 0.3 * k)),
    "Solarize": lambda k: dict(threshold=(30 * k, 36 * k)),
    "ElasticTransform": lambda k: dict(
        alpha=40 * k, sigma=2 + k, alpha_affine=3 * k, border_mode=k % 5 if k % 5 != 3 else 4, value=(9, 200, 60),
        interpolation=WAYS[k], approximate=k == 5, same_dxdy=k == 6,
    ),
    "GridDistortion": lambda k: dict(
        num_steps=2 + k, distort_limit=(-0.1 * k, 0.13 * k), border_mode=k % 5, value=77, interpolation=WAYS[k], normalized=k % 2 == 1
    ),
    "OpticalDistortion": lambda k: dict(
        distort_limit=(-0.3 * k, 0.25 * k), shift_limit=(-5 * k, 5 * k), border_mode=k % 5, value=(1, 2, 3), interpolation=WAYS[k]
    ),
}
PATCHES, KEPT_SETTINGS = 4, 8
ARRAY_FIELDS = {"gauss": np.float32, "dxy": np.int8}


def smear(height, width, seed):
    """Discs with pale centres on an uneven background: a blood smear as far as histograms and edges go."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    light = 232 - 18 * x / width - 12 * y / height
    image = light[..., None] * np.array([0.97, 0.93, 0.95])
    for _ in range(max(3, height * width // 350)):
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4, 11)
        d = np.hypot(y - cy, (x - cx) * rng.uniform(0.8, 1.2))
        cell = 1 / (1 + np.exp((d - r) * 2)) * (1 - 0.55 * np.exp(-((d / (0.5 * r)) ** 2)))
        image -= cell[..., None] * np.array([38, 92, 70]) * rng.uniform(0.7, 1.1)
    return np.clip(image + rng.normal(0, 2.5, image.shape), 0, 255).astype(np.uint8)


def images(wide):
    rng = np.random.RandomState(7)
    # At least 1000 pixels, so that one may differ; rows of whole blocks of eight, as OpenCV's float conversions round the rest of
    # a row otherwise.
    y, x = np.mgrid[0:26, 0:40]
    ramp = np.stack([x * 5 + y, y * 6 + x * 2, x * 7 + y * 11], -1).astype(np.uint8)
    noise = rng.randint(0, 256, (32, 32, 3)).astype(np.uint8)
    out = {"smear": smear(26, 40, 1), "ramp": ramp, "noise": noise, "cells": smear(43, 24, 6)}
    if wide:
        out["smear98"] = smear(98, 98, 2)
        out["smear112"] = smear(112, 112, 5)
        out["smear224"] = smear(224, 224, 3)
        out["wide"] = smear(61, 130, 4)
        out["tall"] = rng.randint(0, 256, (90, 33, 3)).astype(np.uint8)
        out["two"] = (rng.randint(0, 2, (40, 40, 1)) * np.array([200, 13, 90])).astype(np.uint8)
        out["black"] = np.zeros((40, 40, 3), np.uint8)
        out["white"] = np.full((40, 40, 3), 255, np.uint8)
        out["flat"] = np.full((40, 40, 3), (31, 120, 250), np.uint8)
        out["grey"] = np.repeat(rng.randint(0, 256, (44, 52, 1)), 3, 2).astype(np.uint8)
        out["small"] = rng.randint(0, 256, (13, 11, 3)).astype(np.uint8)
        out["row"] = rng.randint(0, 256, (1, 23, 3)).astype(np.uint8)
        out["column"] = rng.randint(0, 256, (23, 1, 3)).astype(np.uint8)
    return out


def patch(path, side=224):
    """The middle of a picture, channels in RGB order."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, f"{path} is not a picture"
    top, left = (max(0, (full - side) // 2) for full in image.shape[:2])
    return np.ascontiguousarray(image[top : top + side, left : left + side, ::-1])


class Recorder:
    """Keeps what a transform draws while it is applied."""

    def __enter__(self):
        self.drawn, self.real = [], {}
        for kind in ("poisson", "normal", "uniform", "rand"):
            self.real[kind] = getattr(random_utils, kind)

            def record(*args, kind=kind, **kwargs):
                value = np.asarray(self.real[kind](*args, **kwargs))
                if kind in ("normal", "uniform"):
                    value = value.astype(np.float32).astype(np.float64)
                if kind == "rand":  # coarse, so that the files stay small
                    value = np.floor(value * 256) / 256
                self.drawn.append((f"drawn_{len(self.drawn)}_{kind}", value))
                return value

            setattr(random_utils, kind, record)
        return self

    def __exit__(self, *_):
        for kind, function in self.real.items():
            setattr(random_utils, kind, function)


def plain(value):
    """JSON of a parameter, in the form the recorded cases have."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def compact(array):
    """The smallest integer type, or f32, that holds the array."""
    if array.dtype.kind in "iu":
        for kind in (np.uint8, np.int16, np.int32):
            if (array == array.astype(kind)).all():
                return array.astype(kind)
        return array
    assert (array == array.astype(np.float32)).all()
    return array.astype(np.float32)


def make(transform, image):
    params = transform.get_params()
    if transform.targets_as_params:
        params.update(transform.get_params_dependent_on_targets({"image": image}))
    for name, kind in ARRAY_FIELDS.items():
        if name in params:
            params[name] = params[name].astype(kind).astype(params[name].dtype)
    with Recorder() as recorder:
        given = transform.update_params(dict(params), image=image)
        expected = transform.apply(image.copy(), **given)
    arrays = {n: params[n] for n in ARRAY_FIELDS if n in params} | dict(recorder.drawn)
    recorded = {k: {"npz": k} if k in ARRAY_FIELDS else plain(v) for k, v in params.items()}
    return recorded, arrays, np.ascontiguousarray(expected)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--per-op", type=int, default=PATCHES * KEPT_SETTINGS)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--patches", type=pathlib.Path, nargs="*", default=[])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    inputs = {f"patch{i}": patch(path) for i, path in enumerate(options.patches)} or images(options.wide)
    cases, stores = [], {}
    for index, name in enumerate(OPS + list(GEOMETRIC) + FURTHER):
        for turn in range(min(options.per_op, 2 * PATCHES) if name in GEOMETRIC else options.per_op):
            random.seed(1000 * index + turn)
            np.random.seed(1000 * index + turn)
            # Every setting on every patch; in a wide run, on ever other images.
            patch_index = turn + index if options.wide else turn
            image_name = list(inputs)[patch_index % len(inputs)]
            setting = turn // PATCHES % KEPT_SETTINGS
            arguments = SETTINGS[name](setting) if setting and name in SETTINGS else {}
            transform = GEOMETRIC[name]() if name in GEOMETRIC else getattr(A, name)(p=1, **arguments)
            try:
                params, arrays, expected = make(transform, inputs[image_name])
            except Exception as error:  # the reference cannot do some transforms on tiny images
                print(f"{name} on {image_name}: the reference fails: {str(error).splitlines()[-1][:90]}")
                continue
            number = f"{len(cases):04d}"
            store = stores.setdefault(index * 4 // len(OPS) if not options.wide and not options.patches else name, {})
            store[number] = expected
            store.update({f"{number}.{k}": compact(v) for k, v in arrays.items()})
            init = {k: plain(v) for k, v in transform.get_transform_init_args().items() if k != "interpolation" or name not in OPS}
            if arguments.get("interpolation") is not None:  # Albumentations does not list Downscale's
                init["interpolation"] = arguments["interpolation"]
            cases.append({"transform": name, "input": image_name, "number": number, "params": params, "init": init})
    np.savez_compressed(options.out / "inputs.npz", **inputs)
    for part, store in stores.items():
        np.savez_compressed(options.out / f"cases-{part}.npz", **store)
    lines = ",\n".join(json.dumps(case) for case in cases)
    (options.out / "cases.json").write_text(f"[\n{lines}\n]\n")
    print(f"{len(cases)} cases, OpenCV {cv2.__version__}, Albumentations {A.__version__}")


if __name__ == "__main__":
    main()
