#!/usr/bin/env python3
"""Stand-ins for whole slides, and what tifffile sees in them. Pins: tests/golden/requirements-slides.txt.

    make_slides.py FOLDER

A drawn smear of 480 × 352 px at 0.25 µm: the left 160 px are glass, the right end is white as a scanner fills what it did not scan.
Each file has levels of 1/1 and 1/4. NAME.L<level>-<x>-<y>.png is a region as tifffile reads it.
"""
import io
import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

WIDTH, HEIGHT, TILE = 480, 352, 64
MPP = "Aperio Image Library v12.0.15\r\n480x352 [0,0 480x352] (64x64) JPEG/RGB Q=80|AppMag = 40|MPP = 0.2500|Filename = drawn"


def smear():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    picture = np.empty((HEIGHT, WIDTH, 3))
    picture[:] = (236, 234, 238)
    for row in range(20, HEIGHT, 44):
        for column in range(180, 448, 40):
            cx, cy = column + rng.uniform(-4, 4), row + rng.uniform(-4, 4)
            away = np.hypot(x - cx, y - cy)
            inside = np.clip(13 - away, 0, 1)[..., None] * (1 - 0.35 * np.exp(-((away / 5) ** 2)))[..., None]
            picture = picture * (1 - inside) + np.array((196, 134, 140)) * inside
    picture[:, 448:] = 255
    return picture.round().astype(np.uint8)


def quarter(picture):
    return picture.reshape(HEIGHT // 4, 4, WIDTH // 4, 4, 3).mean((1, 3)).round().astype(np.uint8)


def tiles(picture):
    height, width = picture.shape[:2]
    down, across = -(-height // TILE), -(-width // TILE)
    padded = np.pad(picture, ((0, down * TILE - height), (0, across * TILE - width), (0, 0)), mode="edge")
    for row in range(down):
        for column in range(across):
            yield padded[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]


def jpeg(tile, streamtype, rgb):
    """A JPEG without its tables (2), or its tables alone (1)."""
    out = io.BytesIO()
    Image.fromarray(tile).save(out, "JPEG", quality=70, subsampling=0 if rgb else 2, streamtype=streamtype, keep_rgb=rgb)
    return out.getvalue()


def write(to, picture, rgb, **more):
    """A page of JPEG tiles whose tables are those of the page, as Aperio and libtiff store it."""
    tables = jpeg(next(tiles(picture)), 1, rgb)
    to.write(
        (jpeg(tile, 2, rgb) for tile in tiles(picture)),
        shape=picture.shape,
        dtype=np.uint8,
        tile=(TILE, TILE),
        photometric="rgb" if rgb else "ycbcr",
        subsampling=None if rgb else (2, 2),
        compression="jpeg",
        jpegtables=tables,
        metadata=None,
        **more,
    )


def svs(path, rgb, big):
    picture = smear()
    with tifffile.TiffWriter(path, bigtiff=big) as to:
        write(to, picture, rgb, description=MPP)
        to.write(quarter(picture), photometric="rgb", compression="jpeg", metadata=None, description="a thumbnail in strips")
        write(to, quarter(picture), rgb, description=MPP)
        to.write(smear()[:80, :60], photometric="rgb", compression="lzw", metadata=None, description="label 60x80")


def ome(path):
    picture = smear()
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as to:
        same = {"tile": (TILE, TILE), "compression": "deflate", "compressionargs": {"level": 9}, "photometric": "rgb"}
        pixels = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}
        to.write(picture, subifds=1, metadata=pixels, **same)
        to.write(quarter(picture), subfiletype=1, **same)


def pyramid(path, endian):
    picture = smear()
    with tifffile.TiffWriter(path, byteorder=endian) as to:
        same = {"tile": (TILE, TILE), "compression": "deflate", "predictor": True, "compressionargs": {"level": 9}, "photometric": "rgb", "metadata": None}
        to.write(picture, resolution=(40_000, 40_000), resolutionunit="CENTIMETER", **same)
        to.write(quarter(picture), subfiletype=1, **same)


def ndpi(path):
    """Each level as one JPEG with a restart marker after every 10 (of the coarse level 15) coding units, and Hamamatsu's tags."""
    picture = smear()
    with tifffile.TiffWriter(path) as to:
        for pixels, units in ((picture, 10), (quarter(picture), 15)):
            out = io.BytesIO()
            # Colours at full resolution: coding units of 8 × 8 px, whose parts do not depend on their neighbours.
            Image.fromarray(pixels).save(out, "JPEG", quality=70, subsampling=0, restart_marker_blocks=units)
            to.write(
                iter([out.getvalue()]),
                shape=pixels.shape,
                dtype=np.uint8,
                rowsperstrip=pixels.shape[0],
                photometric="ycbcr",
                subsampling=(1, 1),
                compression="jpeg",
                metadata=None,
                resolution=(40_000, 40_000) if units == 10 else (10_000, 10_000),
                resolutionunit="CENTIMETER",
                extratags=[(65420, 4, 1, 1, True), (65421, 11, 1, 40.0 if units == 10 else 10.0, True)],
            )


def seen(path, levels):
    """Regions across the borders of tiles, and at the corner."""
    pages = {0: levels[0], 1: levels[1]}
    for level, page in pages.items():
        picture = page.asarray()
        if page.photometric == 6:  # tifffile converts JPEG itself
            assert picture.shape[-1] == 3
        for x, y, w, h in [(150, 40, 120, 90), (420, 300, 60, 52)] if level == 0 else [(30, 20, 60, 50)]:
            Image.fromarray(picture[y : y + h, x : x + w]).save(f"{path}.L{level}-{x}-{y}.png", optimize=True)


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    svs(folder / "rgb.svs", rgb=True, big=False)
    svs(folder / "ycbcr.svs", rgb=False, big=True)
    ome(folder / "sub.ome.tif")
    pyramid(folder / "big-endian.tif", ">")
    ndpi(folder / "ndpi-like.tif")
    for path in sorted(folder.iterdir()):
        with tifffile.TiffFile(path) as file:
            pages = file.pages
            small = pages[0].pages[0] if pages[0].subifds else next(page for page in pages[1:] if page.is_tiled or path.stem == "ndpi-like")
            seen(path, [pages[0], small])
    for path in sorted(folder.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
