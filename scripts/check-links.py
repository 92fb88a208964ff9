#!/usr/bin/env python3
"""Checks that links between the Markdown files of the repository lead somewhere, that paths in them exist, and that the site has every page of docs/.

    scripts/check-links.py     # exit with 1 and a line for each such link or path, and for each page that docs/SUMMARY.md lacks

A path is checked if it is written as `code` and begins with a folder of the repository, as `tests/ranks.rs` does.

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
CODE = re.compile(r"`([^`\n]+)`")
# Folders and perhaps a file; not the beginning of a pattern such as `configs/*.yaml` or `reddino-{small,base}.yaml`.
PATH = re.compile(r"(?<![\w./-])(?:[\w.-]+/)+[\w.-]*(?![\w.*{-])")


def prose(text):
    """The text without blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def without_code(text):
    """The text without any code: brackets in code do not make a link."""
    return re.sub(r"`[^`\n]*`", "", prose(text))


@cache
def anchors(path):
    """The names by which headings of a file can be linked, as GitHub and mdBook make them."""
    found = {}
    for heading in re.findall(r"^#+\s+(.*)$", prose(path.read_text()), re.MULTILINE):
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


def absent(path, folders):
    """The paths in a file's code that begin with one of the repository's folders and do not exist. NAME in a path stands for any name."""
    named = [name for code in CODE.findall(prose(path.read_text())) for name in PATH.findall(code)]
    return [name for name in named if name.split("/")[0] in folders and "NAME" not in name and not (ROOT / name).exists()]


def unlisted(files):
    """Pages of the documentation that its table of contents does not name."""
    named = {(DOCS / target).resolve() for target in LINK.findall((DOCS / "SUMMARY.md").read_text())}
    return [path for path in files if path.is_relative_to(DOCS) and path not in named and path.name != "SUMMARY.md"]


def main():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.splitlines()
    files = [ROOT / name for name in names if name.endswith(".md")]
    folders = {name.split("/")[0] for name in names if "/" in name}
    found = [f"{path.relative_to(ROOT)}: {words}" for path in files for words in broken(path)]
    found += [f"{path.relative_to(ROOT)}: {name}: no such file or folder" for path in files for name in absent(path, folders)]
    found += [f"{path.relative_to(ROOT)}: docs/SUMMARY.md does not name it" for path in unlisted(files)]
    print("\n".join(found) if found else f"links of {len(files)} pages lead somewhere")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
