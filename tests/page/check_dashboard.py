"""The dashboard's pages in Chromium: `check_dashboard.py ORCHESTRATOR STORES [SCREENSHOTS]`.

STORES holds `now`, a store in which a sweep runs, and `end`, the same when all of it has finished: made-up trials (`scripts/page-test.sh`). The pages are
read as a person reads them who leaves the browser open.
"""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from check_page import WIDTHS, check, chromium
from playwright.sync_api import sync_playwright

import check_page


@contextlib.contextmanager
def served(orchestrator, store):
    """The address of a dashboard that follows `store`."""
    command = [orchestrator, "dashboard", "--store", store, "--listen", "127.0.0.1:0", "--every-s", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as dashboard:
        try:
            yield dashboard.stdout.readline().strip()
        finally:
            dashboard.terminate()


class Opened:
    """A page of its own, with what it logged and whom it asked."""

    def __init__(self, browser, base, path, width=1280, scheme="light"):
        self.base = base
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.log, self.asked = [], []
        # Browsers ask for an icon by themselves, and there is none.
        self.page.on("console", lambda message: None if "favicon" in str(message.location) else self.log.append(message.text))
        self.page.on("pageerror", lambda error: self.log.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(base.rstrip("/") + path)
        self.page.wait_for_selector("footer")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.context.close()
        if kind is None:
            outside = [url for url in self.asked if not url.startswith((self.base, "data:"))]
            check("nothing is logged and nobody else is asked", (self.log, outside), ([], []))

    def wait(self, script):
        """Until the page, which loads itself again, shows what is awaited."""
        self.page.wait_for_function(script, timeout=60_000)


def until_read(browser, base):
    with Opened(browser, base, "/") as opened:
        opened.wait("() => document.querySelector('tbody td:nth-child(2)')?.textContent === '10 of 15'")
        cells = opened.page.locator("tbody tr").first.locator("th, td").all_inner_texts()
        check("the list counts what is done, has failed, runs and is to be run", (cells[0].split("\n")[0], cells[1:5]), ("large", ["10 of 15", "1", "1", "3"]))


def looks(browser, base, shots):
    for name, path in (("list", "/"), ("sweep", "/sweeps/large"), ("report", "/sweeps/large/report")):
        for device, scheme in (("laptop", "light"), ("phone", "dark"), ("phone", "light"), ("laptop", "dark")):
            with Opened(browser, base, path, WIDTHS[device], scheme) as opened:
                page = opened.page
                check(f"{name}, {device}: nothing scrolls sideways", page.evaluate("document.documentElement.scrollWidth"), WIDTHS[device])
                found = Axe().run(page).response["violations"]
                serious = [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")]
                check(f"{name}, {device}, {scheme}: axe-core finds no serious violation", serious, [])
                if shots:
                    page.screenshot(path=shots / f"dashboard-{name}-{device}-{scheme}.png", full_page=True)


def reasons_are_texts(browser, base):
    with Opened(browser, base, "/sweeps/large") as opened:
        page = opened.page
        check("a reason makes no element", page.locator("main b:has-text('bold'), main img, main script").count(), 0)
        check("and shows as text", page.get_by_text("<b>bold</b>").count() > 0)
        check("curves say what they show", page.locator("svg[role=img]").first.get_attribute("aria-label").startswith("loss from "))
        page.keyboard.press("Tab")
        check("the keyboard reaches the list of sweeps", page.evaluate("document.activeElement.textContent"), "All sweeps")


def end_all(stores):
    """What remains of the sweep ends: results come last, as from a worker."""
    shutil.copytree(stores / "end" / "trials", stores / "now" / "trials", dirs_exist_ok=True, ignore=shutil.ignore_patterns("result.json"))
    for result in (stores / "end" / "trials").rglob("result.json"):
        place = stores / "now" / result.relative_to(stores / "end")
        shutil.copy(result, place.with_suffix(".part"))
        place.with_suffix(".part").rename(place)


def follows(browser, base, stores):
    """Trials that end elsewhere are shown by a page that stays open."""
    with Opened(browser, base, "/sweeps/large") as sweep, Opened(browser, base, "/sweeps/large/report") as report:
        wanted = "() => document.body.textContent.includes('%s')"
        sweep.wait(wanted % "10 of 15 trials are done")
        run = report.page.locator("section", has=report.page.get_by_role("heading", name="What was run", exact=True))
        check("the report names trials without scores", ["not run yet" in run.inner_text(), "failed" in run.inner_text()], [True, True])
        check("and is loaded again while it grows", report.page.reload().headers.get("refresh"), "60")
        end_all(stores)
        sweep.wait(wanted % "15 of 15 trials are done")
        # A report is made again no sooner than half a minute after the one before.
        for _ in range(60):
            if "refresh" not in report.page.reload().headers:
                break
            report.page.wait_for_timeout(2000)
        check("a report that is whole says so and stays", "15 planned, 0 without scores" in run.inner_text())


def main():
    orchestrator, stores = sys.argv[1], Path(sys.argv[2])
    shots = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    with served(orchestrator, stores / "now") as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        until_read(browser, base)
        looks(browser, base, shots)
        reasons_are_texts(browser, base)
        follows(browser, base, stores)
        browser.close()
    print(f"dashboard: {check_page.PASSED} passed, 0 failed")


if __name__ == "__main__":
    main()
