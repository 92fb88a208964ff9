"""The picture of a report for the README: `picture.py REPORT.html OUT.webp`. Verdicts, differences and the map, light, 1,280 px wide."""

import base64
import math
import sys
from pathlib import Path

from check_page import chromium
from playwright.sync_api import sync_playwright

WIDTH = 1280
SHOWN = ["Verdicts", "Differences", "Feature map"]
MOST_BYTES = 150_000


# Where the points lie closest, on a raster of 32 pixels.
DENSEST = """c => { const [w, h] = [c.width, c.height], d = c.getContext('2d').getImageData(0, 0, w, h).data, sums = new Map();
  for (let y = 0; y < h; y += 2) for (let x = 0; x < w; x += 2) if (d[4 * (y * w + x) + 3]) { const k = (x >> 5) + ' ' + (y >> 5); sums.set(k, (sums.get(k) || 0) + 1); }
  return [...sums].sort((a, b) => b[1] - a[1])[0][0].split(' ').map(v => (32 * v + 16) * c.clientWidth / w); }"""


def circle_some(page):
    """Draws a lasso around some points, whose pictures then stand beside the map."""
    canvas = page.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    box, (x, y) = canvas.bounding_box(), canvas.evaluate(DENSEST)
    corners = [(x + 34 * math.cos(a / 8 * math.tau), y + 34 * math.sin(a / 8 * math.tau)) for a in range(9)]
    page.mouse.move(box["x"] + corners[0][0], box["y"] + corners[0][1])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(box["x"] + corner[0], box["y"] + corner[1], steps=3)
    page.mouse.up()
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)


def main():
    report, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(report.as_uri())
        page.wait_for_selector("footer")
        if "SYNTHETIC" not in page.locator("header").inner_text():
            sys.exit(f"{report} is not of synthetic cells: pictures in the documentation show no real ones")
        hide = """shown => { for (const part of document.querySelectorAll('section, footer'))
          if (!shown.includes(part.querySelector('h2')?.textContent)) part.style.display = 'none'; }"""
        page.evaluate(hide, SHOWN)
        page.wait_for_timeout(500)
        circle_some(page)
        height = page.evaluate("Math.ceil(document.querySelector('canvas').getBoundingClientRect().bottom + scrollY + 16)")
        session = page.context.new_cdp_session(page)
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
        for quality in (90, 80, 70, 60, 50):
            options = {"format": "webp", "quality": quality, "clip": clip, "captureBeyondViewport": True}
            picture = base64.b64decode(session.send("Page.captureScreenshot", options)["data"])
            if len(picture) <= MOST_BYTES:
                break
        browser.close()
    out.write_bytes(picture)
    print(f"{out}: {WIDTH} x {height} px, {len(picture)} bytes, quality {quality}")


if __name__ == "__main__":
    main()
