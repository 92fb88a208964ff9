"""Makes tests/golden/intake: images in formats that smear collections use, and what a reader must see in them.

NAME.EXT is the input and NAME.EXT.expected.png the upright RGB picture, computed by Pillow and NumPy alone.
Versions: Python 3.11, Pillow 13.0.0, NumPy 2.4.6. Run from anywhere: python make_intake.py
"""

import pathlib

import numpy as np
from PIL import Image

OUT = pathlib.Path(__file__).parent / "intake"
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
