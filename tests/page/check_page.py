"""The report's page in Chromium: `check_page.py ORCHESTRATOR [SCREENSHOTS]`. Made-up data; opened from a file, as a reader does."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import fixture
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

PASSED = 0
WIDTHS = {"phone": 390, "laptop": 1280}


def check(what, found, wanted=True):
    global PASSED
    if found != wanted:
        raise AssertionError(f"{what}: found {found!r}, wanted {wanted!r}")
    PASSED += 1


def chromium():
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    return next(path for path in map(shutil.which, names) if path)


def make(orchestrator, folder, name, report):
    data, page = folder / f"{name}.json", folder / f"{name}.html"
    data.write_text(json.dumps(report), encoding="utf-8")
    subprocess.run([orchestrator, "report", "--from", data, "--out", page], check=True, stdout=subprocess.DEVNULL)
    return page


class Opened:
    """A page in a window of its own, with what it logged and asked for."""

    def __init__(self, browser, file, width=1280, scheme="light", **options):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=False, **options)
        self.page = self.context.new_page()
        self.log, self.asked = [], []
        self.page.on("console", lambda message: self.log.append(message.text))
        self.page.on("pageerror", lambda error: self.log.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.log.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("footer")
        self.page.wait_for_timeout(150)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.context.close()
        if kind is None:
            outside = [url for url in self.asked if not url.startswith(("file:", "data:"))]
            check("nothing is logged and nothing is asked of anybody", (self.log, outside), ([], []))

    def section(self, title):
        return self.page.locator("section", has=self.page.get_by_role("heading", name=title, exact=True, level=2))


def looks(browser, file, name, shots, combinations):
    for device, scheme, with_axe in combinations:
        with Opened(browser, file, WIDTHS[device], scheme) as opened:
            page = opened.page
            check(f"{name}, {device}: nothing scrolls sideways", page.evaluate("document.documentElement.scrollWidth"), WIDTHS[device])
            if with_axe:
                found = Axe().run(page).response["violations"]
                serious = [(v["id"], v["nodes"][0]["html"][:200], v["nodes"][0]["failureSummary"][:300]) for v in found if v["impact"] in ("serious", "critical")]
                check(f"{name}, {device}, {scheme}: axe-core finds no serious violation", serious, [])
            if shots:
                page.screenshot(path=shots / f"{name}-{device}-{scheme}.png", full_page=True)
    with Opened(browser, file) as opened:
        pdf = opened.page.pdf(format="A4")
        check(f"{name} prints", pdf[:5], b"%PDF-")
        if shots:
            (shots / f"{name}.pdf").write_bytes(pdf)


def names_are_texts(browser, file):
    with Opened(browser, file) as opened:
        page = opened.page
        check("names make no elements", page.locator("main :not(.look) > img, main b, main script, h1 b").count(), 0)
        check("a class called <script> shows as text", page.get_by_text("<script>alert('x')</script>").count() > 0)
        check("sections", page.locator("section h2").all_inner_texts(),
              ["Verdicts", "Differences", "Scores", "Classes", "Sources", "Confusions", "Further evaluations", "Training", "Cost", "Label efficiency", "Mistakes", "Feature map",
               "What the network sees", "What was run", "Methods"])
        check("no name of a set, licence or sheet makes an element", page.locator("main em, main s, main u").count(), 0)
        run, look = opened.section("What was run"), opened.section("What the network sees")
        for text in ("<em>of</em>", "<script>MIT</script>", "<s>135</s> kept", "1 of 333 images of source <em>a</em>"):
            check(f"{text} shows as text", run.get_by_text(text).count() > 0)
        check("the image folder shows as text", look.get_by_text("./cells/<b>x</b>").count(), 1)
        look.get_by_label("Sheet").select_option(label="Where <img src=x onerror=alert(1)> looks")
        check("a sheet is one picture, described", look.locator("img").evaluate_all("all => all.map(e => [e.alt, e.naturalWidth])"),
              [["Where <img src=x onerror=alert(1)> looks", 800]])
        check("it says what it is", "SYNTHETIC" in page.locator("header .banner").inner_text() and page.locator("nav .mark").inner_text() == "SYNTHETIC")


def sections_need_data(browser, file):
    with Opened(browser, file) as opened:
        check("only what there is", opened.page.locator("section h2").all_inner_texts(), ["Verdicts", "Differences", "Scores", "What was run", "Methods"])
        check("no warning without a reason", opened.page.locator(".banner, .mark").count(), 0)


def tables_work(browser, file):
    with Opened(browser, file, permissions=["clipboard-read", "clipboard-write"]) as opened:
        scores = opened.section("Scores")
        table = scores.locator("table").first
        column = lambda: [float(text.replace("\u2212", "-")) for text in table.locator("tbody tr td:nth-child(3)").all_inner_texts()]
        before = column()
        head = table.get_by_role("button", name="mean")
        head.click()
        check("the largest comes first", column(), sorted(before, reverse=True))
        check("readers are told", table.locator("th[aria-sort=descending]").inner_text().strip(" \u2193"), "mean")
        head.press("Enter")
        check("then the smallest, by keyboard", column(), sorted(before))
        head.click()
        check("then the sweep's order", column(), before)
        scores.get_by_label("Filter").first.fill("KOLEO")
        check("a filter leaves what fits", table.locator("tbody th").all_inner_texts(), ["koleo-off"])
        scores.get_by_label("Filter").first.fill("")
        copied = {}
        for form in ("LaTeX", "Markdown", "CSV"):
            scores.get_by_role("button", name=form).first.click()
            opened.page.wait_for_function("form => document.getElementById('said').textContent.startsWith(form)", arg=form)
            copied[form] = opened.page.evaluate("navigator.clipboard.readText()")
        check("LaTeX", [copied["LaTeX"].count(word) for word in ("\\toprule", "\\midrule", "\\bottomrule", "\\\\\n")], [1, 1, 1, len(before) + 1])
        check("Markdown", len(copied["Markdown"].splitlines()), len(before) + 2)
        check("CSV has plain numbers", re.search(r"^koleo-off,5,[\d.]+,[\d.]+,[\d.]+,-26\.2,", copied["CSV"], re.M) is not None)
        scores.get_by_label("Probe and metric").first.select_option("all")
        check("all lines", scores.locator("table").first.locator("tbody tr").count(), 6 * len(before))


def figures_work(browser, file):
    with Opened(browser, file) as opened:
        figure = opened.section("Differences").locator("svg").first
        rows = lambda: figure.locator("g > text:first-of-type").all_text_contents()
        check("arms in order, baselines last", rows()[0], "koleo-off")
        opened.section("Differences").get_by_label("Order").first.select_option("difference")
        check("ordered by difference", (rows()[-3], rows()[-1]), ("koleo-off", "baseline: histogram"))
        narrow = figure.locator("g", has_text="centering-none").first
        ring = narrow.locator("circle").evaluate("e => [e.getAttribute('fill'), e.getBBox().width]")
        thick = narrow.locator("line[stroke-width='5']").evaluate("e => e.getBBox().width")
        over = narrow.evaluate("g => [...g.querySelectorAll('line')].filter(line => line.getAttribute('stroke-width') === '1.2').length")
        check("nothing hides an interval narrower than its ring", (ring[0], 1.4 < thick < ring[1], over), ("none", True, 0))
        matrices = opened.section("Confusions").locator("table")
        right = lambda: matrices.first.locator("td.right").first.inner_text()
        before = right()
        opened.section("Confusions").get_by_label("Arm").first.select_option(label="narrow")
        check("another arm, other confusions", right() != before)
        curves = opened.section("Training")
        curves.locator("svg[role=img]").hover(position={"x": 400, "y": 160})
        check("a curve says what it is", "seed" in curves.locator(".tip").inner_text())
        curves.locator(".legend button").first.click()
        check("a name can be taken out", curves.locator(".legend button").first.get_attribute("aria-pressed"), "false")
        costs = opened.section("Cost")
        check("models are named beside their points", "koleo-off" in costs.locator("svg text").all_text_contents())
        before = costs.locator("p.how").inner_text()
        costs.get_by_label("Figure").select_option(label="score over speed")
        check("a figure has its own sentence", (before.endswith("cheaper."), costs.locator("p.how").inner_text().endswith("faster.")), (True, True))
        sets = opened.section("What was run").locator("table", has=opened.page.get_by_text("images not used"))
        sets.get_by_role("button", name="rows", exact=True).click()
        check("a table of sources sorts by number", sets.locator("tbody th").first.inner_text(), fixture.SOURCES[3])
        for label, picked in (("Mistakes", "koleo-off alone"),):
            opened.section(label).get_by_label("Show").select_option(label=picked)
            check("the mistakes of another arm", opened.section(label).locator(".tiles li").count(), 24)


def map_works(browser, file, shots):
    with Opened(browser, file) as opened:
        page, section = opened.page, opened.section("Feature map")
        canvas = section.locator("canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        # The densest cell of a coarse raster is where the pointer surely meets a point.
        dense = """c => { const [w, h] = [c.width, c.height], d = c.getContext('2d').getImageData(0, 0, w, h).data, sums = new Map();
          for (let y = 0; y < h; y += 2) for (let x = 0; x < w; x += 2) if (d[4 * (y * w + x) + 3]) { const k = (x >> 5) + ' ' + (y >> 5); sums.set(k, (sums.get(k) || 0) + 1); }
          const all = [...sums].sort((a, b) => b[1] - a[1]);
          return [...all[0][0].split(' ').map(v => 32 * v + 16), 4 * all.reduce((n, [, c]) => n + c, 0) / (w * h)]; }"""
        x, y, inked = canvas.evaluate(dense)
        check("points are drawn", 0.05 < inked < 0.9)
        page.mouse.move(box["x"] + x, box["y"] + y)
        tip = section.locator(".tip")
        check("hovering shows the cell", (tip.is_visible(), tip.locator(".tile").count(), any(name in tip.inner_text() for name in fixture.CLASSES)), (True, 1, True))
        corners = [(x - 60, y - 60), (x + 60, y - 60), (x + 60, y + 60), (x - 60, y + 60), (x - 60, y - 50)]
        page.mouse.move(box["x"] + corners[0][0], box["y"] + corners[0][1])
        page.mouse.down()
        for corner in corners:
            page.mouse.move(box["x"] + corner[0], box["y"] + corner[1], steps=4)
        page.mouse.up()
        sheet = section.locator(".sheet")
        chosen = int(re.sub(r"\D", "", sheet.locator("h3").inner_text()))
        count = lambda: sum(int(re.sub(r"\D", "", text)) for text in sheet.locator("tbody td:nth-child(2)").all_inner_texts())
        check("a lasso counts the classes of what it holds", (chosen > 20, count()), (True, chosen))
        check("and shows them", sheet.locator(".tile").count(), min(chosen, 240))
        if shots:
            section.screenshot(path=shots / "map-lasso.png")
        section.get_by_label("Colour by").select_option("correctness")
        check("by correctness", sheet.locator("tbody tr").count() <= 2 and count() == chosen)
        section.locator(".legend button", has_text="right").click()
        section.get_by_role("button", name="Let go").click()
        canvas.focus()
        for _ in range(3):
            page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Enter")
        check("the keyboard chooses too", page.locator("#said").inner_text().endswith("cells chosen"))
        page.keyboard.press("Escape")
        check("and lets go", page.locator("#said").inner_text(), "No cells chosen")


def say_when_it_is_ready(browser, file):
    """Prints how long a reader waits; nothing is checked, since that is the machine's."""
    with Opened(browser, file) as opened:
        times = opened.page.evaluate("(({domInteractive, loadEventEnd}) => [domInteractive, loadEventEnd])(performance.getEntriesByType('navigation')[0])")
        size = file.stat().st_size / 1e6
        print(f"page: {size:.1f} MB with 20,000 points: interactive after {times[0] / 1e3:.2f} s, everything drawn after {times[1] / 1e3:.2f} s")


def main():
    orchestrator = sys.argv[1]
    shots = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = Path(folder)
        six = make(orchestrator, folder, "six", fixture.report(6, 20_000))
        many = make(orchestrator, folder, "hundred", fixture.report(100, 0))
        bare = make(orchestrator, folder, "bare", fixture.bare(3))
        check("20,000 points fit into 25 MB", six.stat().st_size < 25_000_000)
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        names_are_texts(browser, six)
        sections_need_data(browser, bare)
        tables_work(browser, six)
        figures_work(browser, six)
        map_works(browser, six, shots)
        looks(browser, six, "six", shots, [("laptop", "light", True), ("phone", "dark", True), ("laptop", "dark", True)])
        looks(browser, many, "hundred", shots, [("phone", "light", False), ("laptop", "light", True)])
        say_when_it_is_ready(browser, six)
        browser.close()
    print(f"page: {PASSED} passed, 0 failed")


if __name__ == "__main__":
    main()
