"""Runs the Python of a page of the documentation in the folder of a shard set: check_reading.py PAGE SHARDDIR

Blocks that begin with ```python are run, each for itself; others are not. Exits nonzero with the block that failed.
"""

import os
import pathlib
import re
import subprocess
import sys


def main():
    page, root = sys.argv[1:]
    blocks = re.findall(r"^```python\n(.*?)^```$", pathlib.Path(page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if not blocks:
        sys.exit(f"check_reading: {page} holds no block of Python")
    for block in blocks:
        run = subprocess.run([sys.executable, "-c", block], cwd=root, env=os.environ, capture_output=True, text=True)
        if run.returncode != 0 or not run.stdout.strip():
            sys.exit(f"check_reading: this block of {page} fails or prints nothing:\n{block}\n{run.stderr}")
    print(f"check_reading: {len(blocks)} blocks of {page} run")


if __name__ == "__main__":
    main()
