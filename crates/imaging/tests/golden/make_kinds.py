"""Makes tests/golden/kinds: images as slide exports, scanners and mask programs write them, and what a reader must see in them.

NAME is the input. NAME.expected.png is the upright RGB picture, computed from what tifffile reads; NAME.expected.u32 the numbers of a
mask, little-endian, row by row. Files without either are refused, or noted, for what they are.
Versions: Python 3.11, tifffile 2026.3.3, imagecodecs 2026.3.6, Pillow 13.0.0, NumPy 2.4.6. Run from anywhere: python make_kinds.py
"""

import pathlib

import numpy as np
import tifffile
from PIL import Image

OUT = pathlib.Path(__file__).parent / "kinds"
W, H = 42, 26  # no multiple of a tile
TILE = (16, 16)


def scene():
    """Smooth, so that lossy codecs stay close; different in each corner."""
    y, x = np.mgrid[0:H, 0:W]
    return np.stack([40 + 4 * x, 30 + 7 * y, 200 - 2 * x - 2 * y], -1).clip(0, 255).astype(np.uint8)


def expect(name, rgb):
    Image.fromarray(rgb).save(OUT / f"{name}.expected.png")


def tiff(name, values, **options):
    """Writes a file and returns what tifffile reads in it."""
    tifffile.imwrite(OUT / name, values, software=False, metadata=None, **options)
    return tifffile.imread(OUT / name)


def same(name, values, **options):
    """A file whose picture is what tifffile reads in it."""
    seen = tiff(name, values, **options)
    if seen.ndim == 2:
        seen = np.repeat(seen[..., None], 3, -1)
    expect(name, seen)


def over_white(rgb, alpha, premultiplied):
    rgb, alpha = rgb.astype(int), alpha.astype(int)[..., None]
    straight = (rgb * alpha + 255 * (255 - alpha) + 127) // 255
    return (np.minimum(rgb + 255 - alpha, 255) if premultiplied else straight).astype(np.uint8)


OUT.mkdir(exist_ok=True)
for old in OUT.iterdir():
    old.unlink()

rgb = scene()
planes = np.moveaxis(rgb, -1, 0)
wide = (rgb.astype(np.uint16) * 257 + np.array([60, -90, 128], np.int32)).clip(0, 65535).astype(np.uint16)
as8 = ((wide.astype(int) + 128) // 257).astype(np.uint8)

# JPEG in a TIFF, as slide exports have it: luminance and colour differences, whole and halved, in tiles and strips.
for name, kind, more in (
    ("ycbcr-444.tif", "444", {"tile": TILE}),
    ("ycbcr-422.tif", "422", {"rowsperstrip": 8}),
    ("ycbcr-420.tif", "420", {"tile": TILE}),
):
    same(name, rgb, compression="jpeg", compressionargs={"level": 95, "subsampling": kind}, **more)
same("jpeg-grey.tif", rgb[..., 1], tile=TILE, compression="jpeg", compressionargs={"level": 95})
args = {"level": 95, "outcolorspace": "RGB"}
same("jpeg-rgb.tif", rgb, tile=TILE, photometric="rgb", compression="jpeg", compressionargs=args)

# Planes one after the other.
planar = {"photometric": "rgb", "planarconfig": "separate"}
for name, more in (
    ("planar-tiles.tif", {"tile": TILE, "compression": "zlib", "predictor": True}),
    ("planar-strips.tif", {"rowsperstrip": 8}),
):
    tiff(name, planes, **planar, **more)
    expect(name, rgb)

same("zstd.tif", rgb, photometric="rgb", compression="zstd", predictor=True)
tiff("zstd-16.tif", wide, photometric="rgb", tile=TILE, compression="zstd", byteorder=">")
expect("zstd-16.tif", as8)
same("one-tile.tif", rgb, photometric="rgb", tile=(32, 48), compression="zstd", byteorder=">")
same("webp.tif", rgb, photometric="rgb", tile=TILE, compression="webp", compressionargs={"lossless": True})
same("white-is-zero.tif", rgb[..., 1], photometric="miniswhite")
expect("white-is-zero.tif", np.repeat(255 - rgb[..., 1:2], 3, -1))
Image.fromarray(rgb[..., 1] > 100).save(OUT / "bilevel.tif", compression="group4")
Image.fromarray(rgb[..., 1] > 100).save(OUT / "bilevel-lzw.tif", compression="tiff_lzw")
expect("bilevel-lzw.tif", np.repeat(np.where(rgb[..., 1:2] > 100, 255, 0), 3, -1).astype(np.uint8))
colours = np.stack([np.arange(16) * 4096, 65535 - np.arange(16) * 4096, np.full(16, 0x8000)]).astype(np.uint16)
numbers = (rgb[..., 0] // 16).astype(np.uint8)
tifffile.imwrite(OUT / "palette-8.tif", numbers, photometric="palette", software=False, metadata=None,
                 colormap=np.pad(colours, ((0, 0), (0, 240))))
expect("palette-8.tif", (colours >> 8).astype(np.uint8).T[numbers])

# Channels beside the colours.
alpha = np.tile(np.linspace(0, 255, W).round().astype(np.uint8), (H, 1))
four = np.dstack([rgb, alpha])
tiff("alpha-straight.tif", four, photometric="rgb", extrasamples=["unassalpha"])
expect("alpha-straight.tif", over_white(rgb, alpha, False))
multiplied = (rgb.astype(int) * alpha[..., None] // 255).astype(np.uint8)
tiff("alpha-premultiplied.tif", np.dstack([multiplied, alpha]), photometric="rgb", extrasamples=["assocalpha"])
expect("alpha-premultiplied.tif", over_white(multiplied, alpha, True))
tiff("extra.tif", four, photometric="rgb", extrasamples=["unspecified"], compression="zlib", predictor=True)
expect("extra.tif", rgb)
Image.fromarray(np.dstack([rgb, np.zeros((H, W), np.uint8)])).save(OUT / "clear.png")

# Values that are no 8 or 16 bits from 0.
tiff("twelve.tif", (wide >> 4), photometric="rgb")
tiff("float.tif", rgb.astype(np.float32) / 255, photometric="rgb")
tiff("signed.tif", rgb.astype(np.int16), photometric="rgb")
tiff("wide.tif", rgb.astype(np.uint32), photometric="rgb")
tiff("channels.tif", rgb[..., :2].copy(), photometric="minisblack", planarconfig="contig")

# Compressions of slides that are not read.
tiff("jpeg-2000.tif", rgb, photometric="rgb", compression=34712)
tiff("aperio.tif", rgb, tile=TILE, photometric="rgb", compression=33005)
tiff("lzma.tif", rgb, photometric="rgb", compression="lzma")

# What moves.
frames = [Image.fromarray(np.roll(rgb, 5 * shift, 1)) for shift in range(3)]
for name, options in (("moves.png", {"default_image": False}), ("still.png", {"default_image": True})):
    frames[0].save(OUT / name, save_all=True, append_images=frames[1:], **options)
    expect(name, rgb)
frames[0].save(OUT / "moves.webp", save_all=True, append_images=frames[1:], lossless=True)
expect("moves.webp", rgb)


def mask(name, values, **options):
    tiff(name, values, photometric="minisblack", **options)
    if (values >= 0).all():
        (OUT / f"{name}.expected.u32").write_bytes(values.astype("<u4").tobytes())


cells = np.zeros((H, W), np.uint32)
cells[2:9, 3:9], cells[2:9, 12:20], cells[12:20, 5:15] = 1, 65537, 70000
mask("mask-u32.tif", cells, compression="zlib")
mask("mask-u32-tiles.tif", cells, compression="zstd", tile=TILE, byteorder=">")
mask("mask-i32.tif", cells.astype(np.int32))
mask("mask-f32.tif", cells.astype(np.float32))
mask("mask-u16.tif", (cells % 65536).astype(np.uint16), compression="lzw")
mask("mask-negative.tif", cells.astype(np.int32) - 1)
