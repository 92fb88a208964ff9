"""Golden cases of the pixel transforms, made by Albumentations 1.3.1 on OpenCV 4.11 (x86-64 with AVX2).

    python3.11 -m venv VENV && VENV/bin/pip install -r tests/golden/requirements-augment.txt
    VENV/bin/python tests/golden/make_augment.py tests/golden/augment

writes inputs.npz (the images), cases.json (transform, input, parameters, constructor arguments) and cases-*.npz
(expected pixels `NNN`, recorded arrays `NNN.NAME`). The numbers it draws are fixed; a second run writes the same arrays.
`--per-op N --wide` makes N cases of each transform on more images, for a broader check that is not kept:

    VENV/bin/python tests/golden/make_augment.py DIR --per-op 40 --wide
    REDDINO_AUGMENT_CASES=DIR cargo test -p augment --test golden

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
# Constructor arguments other than the defaults, tried on every third case.
VARIANTS = {
    "Blur": dict(blur_limit=(3, 17)),
    "CLAHE": dict(clip_limit=(1, 40), tile_grid_size=(4, 3)),
    "ChannelDropout": dict(channel_drop_range=(1, 2), fill_value=77),
    "ColorJitter": dict(brightness=0.6, contrast=0.6, saturation=0.6, hue=0.5),
    "Defocus": dict(radius=(1, 4), alias_blur=(0.4, 1.5)),
    "Downscale": dict(scale_min=0.2, scale_max=0.9),
    "Equalize": dict(mode="pil", by_channels=False),
    "GaussNoise": dict(var_limit=(100, 4000), mean=5, per_channel=False),
    "GaussianBlur": dict(blur_limit=(3, 11), sigma_limit=(0.3, 3)),
    "GlassBlur": dict(sigma=1.2, max_delta=2, iterations=3),
    "HueSaturationValue": dict(hue_shift_limit=90, sat_shift_limit=120, val_shift_limit=120),
    "ISONoise": dict(color_shift=(0.05, 0.3), intensity=(0.5, 1.5)),
    "ImageCompression": dict(quality_lower=5, quality_upper=95),
    "MedianBlur": dict(blur_limit=(3, 7)),
    "MotionBlur": dict(blur_limit=(3, 9)),
    "MultiplicativeNoise": dict(multiplier=(0.5, 1.6), per_channel=True),
    "Posterize": dict(num_bits=(1, 7)),
    "RandomBrightnessContrast": dict(brightness_limit=0.6, contrast_limit=0.6, brightness_by_max=False),
    "RGBShift": dict(r_shift_limit=90, g_shift_limit=90, b_shift_limit=90),
    "RandomGamma": dict(gamma_limit=(30, 300)),
    "RandomRain": dict(slant_lower=-20, slant_upper=20, drop_length=9, drop_color=(10, 250, 99), blur_value=3),
    "RandomShadow": dict(shadow_roi=(0, 0, 1, 1), num_shadows_lower=1, num_shadows_upper=4, shadow_dimension=8),
    "RandomSnow": dict(snow_point_lower=0.3, snow_point_upper=0.9, brightness_coeff=1.4),
    "RandomSunFlare": dict(flare_roi=(0.2, 0.1, 0.9, 0.9), src_radius=60, src_color=(250, 200, 90)),
    "RandomToneCurve": dict(scale=0.4),
    "RandomFog": dict(fog_coef_lower=0.1, fog_coef_upper=0.9, alpha_coef=0.3),
    "Sharpen": dict(alpha=(0.0, 1.0), lightness=(0.0, 2.0)),
    "Solarize": dict(threshold=(0, 255)),
    "ElasticTransform": dict(alpha=120, sigma=4, alpha_affine=3, border_mode=0, value=(9, 200, 60)),
    "GridDistortion": dict(num_steps=7, distort_limit=(-0.6, 0.9), border_mode=1, normalized=True),
    "OpticalDistortion": dict(distort_limit=(-2, 2), shift_limit=(-9, 9), border_mode=3),
}
# As VARIANTS, one after the other in a wide run: what else the constructors take.
MORE_VARIANTS = {
    "Equalize": [dict(mode="pil"), dict(by_channels=False)],
    "ElasticTransform": [
        dict(alpha=300, sigma=9, alpha_affine=20, same_dxdy=True, border_mode=1),
        dict(alpha=40, sigma=3, alpha_affine=5, approximate=True, border_mode=2),
        dict(alpha=90, sigma=5, alpha_affine=8, interpolation=0),
    ],
    "GridDistortion": [dict(num_steps=3, interpolation=0, border_mode=2), dict(num_steps=12, distort_limit=0.9, border_mode=0, value=77)],
    "OpticalDistortion": [dict(distort_limit=(-1, 1), shift_limit=(-30, 30), interpolation=0, border_mode=0, value=(1, 2, 3))],
}
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
    y, x = np.mgrid[0:48, 0:64]
    ramp = np.stack([x * 4, y * 5, (x + y) * 2], -1).astype(np.uint8)
    out = {"smear": smear(48, 64, 1), "ramp": ramp, "noise": rng.randint(0, 256, (37, 41, 3)).astype(np.uint8)}
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
    parser.add_argument("--per-op", type=int, default=3)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--patches", type=pathlib.Path, nargs="*", default=[])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    inputs = {f"patch{i}": patch(path) for i, path in enumerate(options.patches)} or images(options.wide)
    options.wide |= bool(options.patches)
    cases, stores = [], {}
    for index, name in enumerate(OPS + list(GEOMETRIC) + FURTHER):
        for turn in range(options.per_op):
            random.seed(1000 * index + turn)
            np.random.seed(1000 * index + turn)
            image_name = list(inputs)[(turn + index) % len(inputs)] if options.wide else list(inputs)[turn % 3]
            arguments = VARIANTS.get(name, {}) if turn % 3 == 2 else {}
            if options.wide and turn % 3 == 1 and name in MORE_VARIANTS:
                arguments = MORE_VARIANTS[name][turn // 3 % len(MORE_VARIANTS[name])]
            transform = GEOMETRIC[name]() if name in GEOMETRIC else getattr(A, name)(p=1, **arguments)
            try:
                params, arrays, expected = make(transform, inputs[image_name])
            except Exception as error:  # the reference cannot do some transforms on tiny images
                print(f"{name} on {image_name}: the reference fails: {str(error).splitlines()[-1][:90]}")
                continue
            number = f"{len(cases):04d}"
            store = stores.setdefault(index * 4 // len(OPS) if not options.wide else name, {})
            store[number] = expected
            store.update({f"{number}.{k}": compact(v) for k, v in arrays.items()})
            init = {k: plain(v) for k, v in transform.get_transform_init_args().items() if k != "interpolation" or name not in OPS}
            cases.append({"transform": name, "input": image_name, "number": number, "params": params, "init": init})
    np.savez_compressed(options.out / "inputs.npz", **inputs)
    for part, store in stores.items():
        np.savez_compressed(options.out / f"cases-{part}.npz", **store)
    lines = ",\n".join(json.dumps(case) for case in cases)
    (options.out / "cases.json").write_text(f"[\n{lines}\n]\n")
    print(f"{len(cases)} cases, OpenCV {cv2.__version__}, Albumentations {A.__version__}")


if __name__ == "__main__":
    main()
