#!/usr/bin/env python3
"""Checks that links between the Markdown files of the repository lead somewhere, and that the site has every page of docs/.

    scripts/check-links.py     # exit with 1 and a line for each link that leads nowhere and each page that docs/SUMMARY.md lacks

It needs Python 3 alone, and looks at no address on the network.
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def without_code(text):
    """The text without code, in which brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


@cache
def anchors(path):
    """The names by which headings of a file can be linked, as GitHub and mdBook make them."""
    found = {}
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+\s+(.*)$", prose, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found[name if name not in found else f"{name}-{found[name]}"] = found.get(name, 0) + 1
    return set(found)


def broken(path):
    """The links of a file that lead nowhere."""
    for target in LINK.findall(without_code(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, heading = target.partition("#")
        at = (path.parent / place).resolve() if place else path
        if not at.exists():
            yield f"{target}: no such file"
        elif path.is_relative_to(DOCS) and not at.is_relative_to(DOCS):
            yield f"{target}: the site contains docs/ alone; name the file as text: `{at.relative_to(ROOT)}`"
        elif heading and at.suffix == ".md" and heading not in anchors(at):
            yield f"{target}: no such heading"


def unlisted(files):
    """Pages of the documentation that its table of contents does not name."""
    named = {(DOCS / target).resolve() for target in LINK.findall((DOCS / "SUMMARY.md").read_text())}
    return [path for path in files if path.is_relative_to(DOCS) and path not in named and path.name != "SUMMARY.md"]


def main():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.split()]
    found = [f"{path.relative_to(ROOT)}: {words}" for path in files for words in broken(path)]
    found += [f"{path.relative_to(ROOT)}: docs/SUMMARY.md does not name it" for path in unlisted(files)]
    print("\n".join(found) if found else f"links of {len(files)} pages lead somewhere")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
