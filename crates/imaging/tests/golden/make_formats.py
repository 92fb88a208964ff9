"""Makes tests/golden/formats: images in formats that smear collections use, and what a reader must see in them.

NAME.EXT is the input and NAME.EXT.expected.png the upright RGB picture, computed by Pillow and NumPy alone.
Versions: Python 3.11, Pillow 13.0.0, NumPy 2.4.6. Run from anywhere: python make_formats.py
"""

import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

OUT = pathlib.Path(__file__).parent / "formats"
W, H = 40, 24


def scene():
    """A smooth picture, so that lossy codecs stay close; different in each corner, so that rotations show."""
    y, x = np.mgrid[0:H, 0:W]
    red = 40 + 4 * x
    green = 30 + 7 * y
    blue = 200 - 2 * x - 2 * y
    return np.stack([red, green, blue], -1).astype(np.uint8)


def save(name, image, expected, **options):
    image.save(OUT / name, **options)
    Image.fromarray(expected).save(OUT / f"{name}.expected.png")


def grey(values):
    return np.repeat(values[..., None], 3, -1)


rgb = scene()
picture = Image.fromarray(rgb)
OUT.mkdir(exist_ok=True)
for old in OUT.iterdir():
    old.unlink()

for name in ("plain.jpg", "progressive.jpg", "plain.png", "plain.bmp", "plain.tif", "lossless.webp"):
    options = {"quality": 95, "subsampling": 0} if name.endswith("jpg") else {}
    if name == "progressive.jpg":
        options["progressive"] = True
    if name == "lossless.webp":
        options["lossless"] = True
    save(name, picture, rgb, **options)
picture.save(OUT / "png-data.jpg", format="PNG")
Image.fromarray(rgb).save(OUT / "png-data.jpg.expected.png")

# Orientation 6: the file is stored turned a quarter to the left and is turned right for display.
stored = Image.fromarray(np.rot90(rgb).copy())
exif = Image.Exif()
exif[274] = 6
save("exif-6.jpg", stored, rgb, quality=95, subsampling=0, exif=exif.tobytes())

# A profile changes no number; version 4 of the format, whose description is UTF-16.
srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
srgb[24:36] = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)  # when it was made
srgb = bytes(srgb)
for name in ("profile.jpg", "profile.png", "profile.tif"):
    options = {"quality": 95, "subsampling": 0} if name.endswith("jpg") else {}
    save(name, picture, rgb, icc_profile=srgb, **options)

cmyk = picture.convert("CMYK")
save("cmyk.jpg", cmyk, rgb, quality=95, subsampling=0)
save("cmyk.tif", cmyk, rgb)

quantised = picture.quantize(200, dither=Image.Dither.NONE)
seen = np.asarray(quantised.convert("RGB"))
for name in ("palette.png", "palette.bmp", "palette.tif", "palette-lzw.tif"):
    options = {"compression": "tiff_lzw"} if "lzw" in name else {}
    save(name, quantised, seen, **options)

wide = np.round(rgb[..., 0].astype(float) * 257 + 60).astype(np.uint16)
as8 = np.floor((wide.astype(float) + 128) / 257).astype(np.uint8)
for name in ("grey16.png", "grey16.tif"):
    save(name, Image.fromarray(wide), grey(as8))
save("grey.jpg", Image.fromarray(rgb[..., 1]), grey(rgb[..., 1]), quality=95)

alpha = np.tile(np.linspace(0, 255, W).round().astype(np.uint8), (H, 1))
over = np.floor((rgb.astype(np.int64) * alpha[..., None] + 255 * (255 - alpha[..., None].astype(np.int64)) + 127) / 255)
save("alpha.png", Image.fromarray(np.dstack([rgb, alpha])), over.astype(np.uint8))

save("two-pages.tif", picture, rgb, save_all=True, append_images=[Image.fromarray(255 - rgb)])

# Pages of several kinds, the third a smaller copy of the first, in a classic TIFF and a BigTIFF.
small = picture.resize((W // 2, H // 2), Image.Resampling.NEAREST)
turned = Image.fromarray(np.rot90(rgb)[..., 1].copy())
for name, big in (("pages.tif", False), ("pages-big.tif", True)):
    pages = [page.copy() for page in (picture, quantised, small, turned)]
    pages[2].encoderinfo = {"tiffinfo": {254: 1}, "big_tiff": big}
    pages[0].save(OUT / name, save_all=True, append_images=pages[1:], big_tiff=big)
    with Image.open(OUT / name) as file:
        for number in range(4):
            file.seek(number)
            assert file.tag_v2.get(254, 0) == int(number == 2), number
            seen_page = np.asarray(file.convert("RGB"))
            Image.fromarray(seen_page).save(OUT / f"{name}.{number + 1}.expected.png")


def png(name, values, interlaced=False):
    """A PNG as Pillow does not write it: 16-bit RGB, or Adam7."""
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    depth = 8 * values.itemsize
    lines = b""
    for x, y, dx, dy in passes:
        for line in values[y::dy, x::dx].astype(values.dtype.newbyteorder(">")):
            lines += b"\0" + line.tobytes()

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], depth, 2, 0, 0, int(interlaced))
    file = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    (OUT / name).write_bytes(b"\x89PNG\r\n\x1a\n" + file)


def tiff(name, values, tile=None):
    """A little-endian TIFF of RGB values, deflated: in tiles of `tile` pixels, or in strips of five rows."""
    data = values.astype(values.dtype.newbyteorder("<"))
    if tile:
        padded = np.pad(data, ((0, -H % tile), (0, -W % tile), (0, 0)))
        blocks = [padded[y : y + tile, x : x + tile] for y in range(0, H, tile) for x in range(0, W, tile)]
    else:
        blocks = [data[y : y + 5] for y in range(0, H, 5)]
    blocks = [zlib.compress(block.tobytes()) for block in blocks]
    offsets, at = [], 8
    for block in blocks:
        offsets.append(at)
        at += len(block)
    more = struct.pack("<3H", *[8 * values.itemsize] * 3)
    tags = [(256, 4, [W]), (257, 4, [H]), (259, 3, [8]), (262, 3, [2]), (277, 3, [3])]
    tags += [(322, 4, [tile]), (323, 4, [tile]), (324, 4, offsets), (325, 4, [len(b) for b in blocks])] if tile else []
    tags += [] if tile else [(273, 4, offsets), (278, 4, [5]), (279, 4, [len(b) for b in blocks])]
    directory = at
    extra = directory + 2 + 12 * (len(tags) + 1) + 4
    entries = [(258, struct.pack("<HHII", 258, 3, 3, extra))]
    for tag, kind, numbers in tags:
        if len(numbers) == 1:
            value = struct.pack("<H2x" if kind == 3 else "<I", numbers[0])
        else:
            value = struct.pack("<I", extra + len(more))
            more += struct.pack(f"<{len(numbers)}I", *numbers)
        entries.append((tag, struct.pack("<HHI", tag, kind, len(numbers)) + value))
    body = struct.pack("<H", len(entries)) + b"".join(entry for _, entry in sorted(entries)) + struct.pack("<I", 0)
    (OUT / name).write_bytes(struct.pack("<2sHI", b"II", 42, directory) + b"".join(blocks) + body + more)


def expect(name, expected):
    Image.fromarray(expected).save(OUT / f"{name}.expected.png")


# 16 bits a channel, with values that truncation to the high byte would get wrong.
wide_rgb = np.round(rgb.astype(float) * 257 + np.array([60, -90, 128])).clip(0, 65535).astype(np.uint16)
wide_as8 = np.floor((wide_rgb.astype(float) + 128) / 257).astype(np.uint8)
png("rgb16.png", wide_rgb)
tiff("rgb16.tif", wide_rgb)
for name in ("rgb16.png", "rgb16.tif"):
    expect(name, wide_as8)
png("interlaced.png", rgb, interlaced=True)
tiff("tiles.tif", rgb, tile=16)
tiff("strips.tif", rgb)
for name in ("interlaced.png", "tiles.tif", "strips.tif"):
    assert np.array_equal(np.asarray(Image.open(OUT / name)), rgb), name
    expect(name, rgb)
save("packbits.tif", picture, rgb, compression="packbits")
save("deflate.tif", picture, rgb, compression="tiff_adobe_deflate")
save("lzw.tif", picture, rgb, compression="tiff_lzw")

clear = np.arange(256) % 2 * 255
seen_alpha = clear[np.asarray(quantised)][..., None]
over = np.where(seen_alpha == 255, seen, 255).astype(np.uint8)
save("palette-alpha.png", quantised, over, transparency=bytes(clear.astype(np.uint8)))
grey_alpha = Image.merge("LA", [Image.fromarray(rgb[..., 1]), Image.fromarray(alpha)])
over = np.floor((rgb[..., 1].astype(np.int64) * alpha + 255 * (255 - alpha.astype(np.int64)) + 127) / 255)
save("grey-alpha.png", grey_alpha, grey(over.astype(np.uint8)))
