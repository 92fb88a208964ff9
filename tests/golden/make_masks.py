"""Golden masks: pictures of classes as Pillow and tifffile write them with the parts that scikit-image finds, and run lengths as Kaggle's
competitions have them with those of pycocotools.

    python3.11 -m venv VENV && VENV/bin/pip install -r tests/golden/requirements-masks.txt
    VENV/bin/python tests/golden/make_masks.py tests/golden/masks

`classes-*` show the same classes 0 to 3 at several depths, with a palette and without; `parts.json` has the parts of each class, which touch also at
corners, in the order of their first pixel, and how many have fewer than 15 pixels. `runs.json` has masks as texts of both orders, and their COCO counts.
"""

import json
import pathlib
import shutil
import sys

import numpy as np
import tifffile
from PIL import Image
from pycocotools import mask as coco
from skimage import draw, measure

WIDTH, HEIGHT, LEAST = 61, 47, 15


def classes(rng):
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(26):
        centre, radii = rng.uniform([0, 0], [HEIGHT, WIDTH]), rng.uniform(1, 7, 2)
        rows, columns = draw.ellipse(*centre, *radii, shape=picture.shape, rotation=rng.uniform(0, 3))
        picture[rows, columns] = rng.integers(1, 4)
    picture[40:44, 3] = picture[44, 4] = picture[45, 5] = 2
    return picture


def parts(picture):
    found = []
    for value in (1, 2, 3):
        for part in measure.regionprops(measure.label(picture == value, connectivity=2)):
            y0, x0, y1, x1 = part.bbox
            first = min(map(tuple, part.coords.tolist()))
            found.append((first, {"class": value, "box": [x0, y0, x1 - x0, y1 - y0], "area": int(part.area)}))
    found = [part for _, part in sorted(found, key=lambda one: one[0])]
    return {"parts": [part for part in found if part["area"] >= LEAST], "small": sum(part["area"] < LEAST for part in found)}


def runs(flat):
    """The recipe that Kaggle's competitions publish: pixels from 1."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]]).astype(int))) + 1
    edges[1::2] -= edges[::2]
    return " ".join(map(str, edges))


def cells(rng):
    for _ in range(12):
        cell = np.zeros((HEIGHT, WIDTH), np.uint8)
        rows, columns = draw.ellipse(*rng.uniform([0, 0], [HEIGHT, WIDTH]), *rng.uniform(1, 15, 2), shape=cell.shape, rotation=rng.uniform(0, 3))
        cell[rows, columns] = 1
        cell[rng.random(cell.shape) < 0.02] = 0
        if not cell.any():
            continue
        counts, flat = [0], cell.flatten(order="F")
        for pixel in flat:
            if (len(counts) % 2 == 0) == bool(pixel):
                counts[-1] += 1
            else:
                counts.append(1)
        again = coco.decode(coco.frPyObjects({"counts": counts, "size": [HEIGHT, WIDTH]}, HEIGHT, WIDTH))
        assert (again == cell).all()
        yield {"columns": runs(flat), "rows": runs(cell.flatten()), "counts": counts, "area": int(cell.sum())}


def main():
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    rng = np.random.default_rng(7)
    picture = classes(rng)
    for bits in (8, 4, 2):
        coloured = Image.fromarray(picture)
        coloured.putpalette([(37 * at) % 256 for at in range(3 * 2**bits)])
        coloured.save(out / f"classes-palette-{bits}.png", bits=bits, **({"transparency": 0} if bits == 8 else {}))
    Image.fromarray(picture).save(out / "classes-grey-8.png")
    Image.fromarray(picture.astype(np.uint16)).save(out / "classes-grey-16.png")
    tifffile.imwrite(out / "classes-32.tif", picture.astype(np.uint32), compression="zlib")
    tifffile.imwrite(out / "classes-palette.tif", picture, photometric="palette", colormap=np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1)))
    Image.fromarray(((picture == 1) * 255).astype(np.uint8)).convert("1").save(out / "one-bit.png")
    (out / "parts.json").write_text(json.dumps(parts(picture)) + "\n")
    (out / "runs.json").write_text(json.dumps({"width": WIDTH, "height": HEIGHT, "cells": list(cells(rng))}) + "\n")


if __name__ == "__main__":
    main()
