#!/usr/bin/env python3
"""Finds phrases that readers stumbled over, so that they do not come back.

    scripts/words-check.py            # pages, README, comments of configs, job scripts: exit status 1 and a line for each hit
    scripts/words-check.py --rust     # also doc comments and texts in Rust, and the reference pages made from them: this is `make words`

Each pattern has a reason and a better form. A hit that is right goes into ALLOWED, with the reason. The script needs Python 3 alone.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Pattern, why it must not come back, what to write.
PATTERNS = [
    (r"(?<!there )(?<!that )\b(is|are) no (?!longer\b|more\b|less\b|\w+er than)\w+", "a riddle: what is it, then?", "say what it is, or `is not a …`"),
    (r"\bby (their|its) looks\b", "nobody says so", "`in the pixels`, `by appearance`"),
    (r"\bbears? (the|a|its|his)\b", "archaic", "`has`, `carries`"),
    (r"\b(may|can|could|must|to|would|cannot|not|split) part (a|an|it|its|the|them|this|such|cells|patients?|images?)\b|\bsplit parts\b|\b(is|are|be) parted\b", "archaic", "`divide`, `separate`"),
    (r"\b(what|whatever) (becomes?|became|become) of\b|\bbecame of\b", "no subject", "`what happened to`, `what to do with`"),
    (r"\bwhere (it|they|none|one|there) (is|are) (not given|none)\b|\bwhere not given\b", "readers look for a place", "`[default: …]`, or `if it is not given`"),
    (r"\bwhere (not )?known\b", "readers look for a place", "`if known`"),
    (r"\b(is|are|be|been) told\b|\btold apart\b", "who tells whom?", "`is logged`, `is reported`, `be distinguished`"),
    (r"\bneither's\b", "a riddle", "`is used for neither`"),
    (r"\b(no|one|two|three|some|\d+) (GPUs?|ranks?|threads?|trials?|folds?|rows?|images?|groups?|bytes|seconds|tasks?|cells|fields?|designs?|operations) an? (GPU|rank|trial|fold|row|image|pair|node|step|task|core|source|design|cell|second|day|shard|multiplication)\b", "`a` for `per` is read as a second noun", "`per`"),
    (r"\bto the digit\b|\bis what it was\b|\bas it ever was\b", "history that no new reader needs", "delete it"),
    (r"\bnobody's (business|to)\b|\bno clock decides\b|\bgives way\b", "a riddle", "say who does what"),
    (r"\bin silence\b|\bwithout a word\b", "archaic", "`silently`, `without a message`"),
    (r"\b(mend|mends|mended)\b", "archaic", "`fix`, `correct`"),
    (r"\bstep in hand\b", "archaic", "`the current step`"),
    (r"\b(the )?bars? (is|are|of)? ?1e-", "jargon", "`tolerance`"),
    (r"\bat most so (often|many)\b|\bso often as\b", "subject missing", "give the number"),
    (r"\b(whence|thereof|therein|hitherto|thither|lest|nought|whosoever|albeit)\b", "archaic", "a common word"),
    (r"\bowed to\b", "archaic", "`due to`"),
    (r"\bin sight\b", "a picture that hides the fact", "`visible`, `shown at all times`"),
    (r"\b(be|is|are) said of\b|\bmust be said\b|\bis said with\b", "passive without a speaker", "`write`, `state`"),
    (r"\bwhat (runs|is left|lies) of (it|them)\b|\bcame so far\b", "a riddle", "name the thing"),
    (r"\bhands? (back|over) to nobody\b|\bto anybody's\b", "a riddle", "name the reader"),
    (r"\bis of (no|each|all)\b|\bbelongs to no (family|code)\b|\bnames no code\b", "a riddle", "say what follows"),
    (r"\bcan be thrown away\b|\bhas room or luck\b|\bno luck\b", "colloquial", "say what happens"),
    (r"\bthe least (right|alike|description)\b", "superlative without a scale", "`lowest-scoring`, `least similar`, `shortest`"),
    (r"\bpictures? of itself\b|\bin its stead\b|\bgood for nothing\b", "archaic", "a common word"),
    (r"\bfar too (wide|narrow) and now and then\b", "a riddle", "say what cannot be concluded"),
    (r"\bbegin at --\w+|\bkeys are never overwritten; choose\b", "the program's inner words", "name the option and the remedy"),
]

# (file, text in the line): hits that are right.
ALLOWED = [
    ("scripts/words-check.py", ""),
    ("CHANGELOG.md", ""),  # what earlier releases said stays
    ("crates/results/tests/renderings/decided.md", ""),  # printed by the program
    ("docs/adr/0008-nccl-and-streams.md", "ended without a message"),  # quotes a message
]

COMMENTED = {".yaml", ".yml", ".sh"}
COMPILED = [(re.compile(pattern, re.IGNORECASE), why, better) for pattern, why, better in PATTERNS]
GENERATED = "docs/reference/"


def texts(path):
    """The lines of a file that people read, with their numbers, without code blocks' commands."""
    lines = path.read_text().splitlines()
    if path.suffix in COMMENTED:
        return [(number, line.split("#", 1)[1]) for number, line in enumerate(lines, 1) if "#" in line]
    if path.suffix == ".rs":
        return [(number, text) for number, line in enumerate(lines, 1) for text in rust_texts(line)]
    return list(enumerate(lines, 1))


def rust_texts(line):
    """The doc comment of a line, or its string literals of three words and more."""
    comment = re.match(r"\s*//[/!] ?(.*)", line)
    if comment:
        return [comment.group(1)]
    if re.match(r"\s*//", line):
        return []
    return [text for text in re.findall(r'"((?:[^"\\]|\\.)*)', line) if text.count(" ") >= 2]


def files(with_rust):
    endings = ["*.md", "configs/*.yaml", "configs/**/*.yaml", "slurm/*.sh", "Makefile"] + (["*.rs"] if with_rust else [])
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *endings], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in sorted(set(listed.stdout.split())) if with_rust or not name.startswith(GENERATED)]


def allowed(name, line):
    return any(name == file and text in line for file, text in ALLOWED)


def main():
    hits = 0
    found = files("--rust" in sys.argv[1:])
    for path in found:
        name = str(path.relative_to(ROOT))
        for number, line in texts(path):
            for pattern, why, better in COMPILED:
                match = pattern.search(line)
                if match and not allowed(name, line):
                    hits += 1
                    print(f"{name}:{number}: “{match.group(0)}”: {why}; better: {better}")
    print(f"{hits} phrases to replace" if hits else f"no phrase to replace in {len(found)} files")
    sys.exit(bool(hits))


if __name__ == "__main__":
    main()
