"""A drawn slide of 40,000 × 40,000 px, built to patches: seconds, peak memory, and how its rows differ from what tifffile reads.

    measure.py SHARD_BUILDER FOLDER [SIDE]

FOLDER keeps the slide for the next time. SIDE is that of the slide in pixels, a multiple of 4,096 or rounded up to one.
"""

import io
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import tifffile
from PIL import Image

TILE, BAND, FACTOR = 256, 4096, 4
GLASS = (236, 234, 238)
ROWS = 200


def stamps(rng):
    """Cells of many sizes and tones, each with its shape."""
    made = []
    for _ in range(64):
        radius = rng.uniform(13, 18)
        side = 2 * int(radius) + 4
        y, x = np.mgrid[0:side, 0:side] - side / 2
        away = np.hypot(x * rng.uniform(0.9, 1.1), y)
        inside = np.clip(radius - away, 0, 1) * (1 - rng.uniform(0.2, 0.45) * np.exp(-((away / (0.4 * radius)) ** 2)))
        tone = np.array((196, 134, 140)) + rng.normal(0, 6, 3)
        made.append((inside[..., None], tone))
    return made


def bands(side, rng):
    """Bands of the slide from the top: glass with a smear in the middle, cells at random places."""
    cells = stamps(rng)
    for top in range(0, side, BAND):
        band = np.empty((BAND, side, 3), np.uint8)
        band[:] = GLASS
        if side // 10 <= top + BAND // 2 < side - side // 10:
            for _ in range(int(BAND * side * 0.7 / 2200)):
                inside, tone = cells[rng.integers(len(cells))]
                height, width = inside.shape[:2]
                y, x = rng.integers(0, BAND - height), rng.integers(side * 2 // 10, side * 9 // 10 - width)
                under = band[y : y + height, x : x + width]
                under[:] = (under * (1 - inside) + tone * inside).round()
        yield band


def tiles(picture):
    for y in range(0, picture.shape[0], TILE):
        for x in range(0, picture.shape[1], TILE):
            yield np.ascontiguousarray(picture[y : y + TILE, x : x + TILE])


def shrunk(picture, by):
    height, width = picture.shape[0] // by, picture.shape[1] // by
    return picture.reshape(height, by, width, by, 3).mean((1, 3), dtype=np.float32).round().astype(np.uint8)


def make(path, side):
    rng = np.random.default_rng(11)
    quarter = np.empty((side // FACTOR, side // FACTOR, 3), np.uint8)

    def finest():
        for number, band in enumerate(bands(side, rng)):
            quarter[number * BAND // FACTOR : (number + 1) * BAND // FACTOR] = shrunk(band, FACTOR)
            yield from tiles(band)

    same = {"tile": (TILE, TILE), "compression": "jpeg", "compressionargs": {"level": 80}, "metadata": None}
    # tifffile stores RGB pixels as YCbCr here; with "ycbcr" it would take them for YCbCr.
    same |= {"photometric": "rgb", "subsampling": (2, 2), "dtype": np.uint8}
    unfinished = path.with_suffix(".part")
    with tifffile.TiffWriter(unfinished, bigtiff=True) as to:
        description = "Aperio Image Library, drawn|AppMag = 40|MPP = 0.2500"
        to.write(finest(), shape=(side, side, 3), description=description, **same)
        for by in (1, 4):
            level = quarter if by == 1 else shrunk(quarter, by)
            if level.shape[0] % TILE == 0:
                to.write(tiles(level), shape=level.shape, **same)
    unfinished.rename(path)


def region(file, page, x, y, side):
    """Pixels of a page, from the tiles under them."""
    across = -(-page.imagewidth // TILE)
    pixels = np.empty((side, side, 3), np.uint8)
    for row in range(y // TILE, -(-(y + side) // TILE)):
        for column in range(x // TILE, -(-(x + side) // TILE)):
            index = row * across + column
            # Asking for any of these may move the place in the file.
            offset, count, decode, tables = page.dataoffsets[index], page.databytecounts[index], page.decode, page.jpegtables
            file.filehandle.seek(offset)
            tile, _, _ = decode(file.filehandle.read(count), index, jpegtables=tables)
            tile = tile.reshape(tile.shape[-3:])
            top, left = row * TILE - y, column * TILE - x
            y0, y1, x0, x1 = max(top, 0), min(top + TILE, side), max(left, 0), min(left + TILE, side)
            pixels[y0:y1, x0:x1] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
    return pixels


def differences(slide, built):
    """Of random rows, differences of values from what tifffile reads: how many rows, the mean, the largest."""
    rng = np.random.default_rng(0)
    shards = sorted(built.glob("shards/*/*.parquet"))
    means, most, rows = [], 0, 0
    with tifffile.TiffFile(slide) as file:
        page = file.pages[0]
        for shard in rng.choice(shards, min(len(shards), 10), replace=False):
            table = pq.read_table(shard)
            for number in rng.choice(len(table), min(len(table), ROWS // 10), replace=False):
                row = {name: table[name][int(number)].as_py() for name in table.column_names}
                seen = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")).astype(int)
                place = row["image_path"].rsplit("@L", 1)[1].split("-")
                x, y = int(place[1]) + row["x"], int(place[2]) + row["y"]
                apart = np.abs(seen - region(file, page, x, y, seen.shape[0]))
                means.append(apart.mean())
                most, rows = max(most, int(apart.max())), rows + 1
    return rows, float(np.mean(means)), most


def main():
    if sys.argv[1] == "draw":
        make(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
        return
    builder, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    side = -(-int(sys.argv[3] if len(sys.argv) > 3 else 40_000) // BAND) * BAND
    data = folder / f"data-{side}" / "drawn"
    data.mkdir(parents=True, exist_ok=True)
    slide = data / "drawn.svs"
    if not slide.exists():
        started = time.monotonic()
        # In a process of its own: a process that is started from a large one begins as large, and is measured so.
        subprocess.run([sys.executable, __file__, "draw", slide, str(side)], check=True)
        print(f"drawn in {time.monotonic() - started:.0f} s")
    (folder / "drawn.yaml").write_text(
        "name: drawn\ntitle: A drawn slide\nhome: none\nlicence: CC0-1.0\ncitation: none\nmodality: drawn\nmembership: synthetic\n"
        "images: {include: ['*.svs']}\nslides: {}\n"
    )
    built = folder / f"set-{side}-{int(time.time())}"
    command = [builder, "build", folder / "drawn.yaml", "--root", f"drawn={data}", "--product", "patches", "--out", built]
    started = time.monotonic()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the build failed"
    seconds, peak = time.monotonic() - started, used.ru_maxrss / 1024
    rows, mean, most = differences(slide, built)
    size = slide.stat().st_size / 1e6
    print(f"{side}×{side} px, {size:.0f} MB: built in {seconds:.0f} s, peak memory {peak:.0f} MiB")
    print(f"{rows} rows beside tifffile: values differ by {mean:.3f} levels on average, by {most} at most")
    print(json.dumps({"side": side, "seconds": seconds, "peak_mib": peak, "rows": rows, "mean": mean, "most": most}))


if __name__ == "__main__":
    main()
