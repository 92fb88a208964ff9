"""One line for each drawing of the synthetic smears: the primary differences and verdicts of its table, from the tables' CSV.

    python3 scripts/quickstart_verdicts.py drawing-0.csv drawing-1.csv …

Exits with 1 where a drawing does not show what the quickstart promises: a teacher above both baselines and the arm `collapse`
worse, each with an interval that excludes zero, and the other arm equivalent or undecided.
"""

import csv
import pathlib
import sys

SAME = "sinkhorn-5"


def primary(path):
    """The primary lines of a table, by arm or, for a baseline, by its features."""
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["primary"] == "true"]
    return {row["arm"] or row["features"]: row for row in rows}


def difference(row, sign=1):
    """A difference with its interval in points; `sign` -1 turns it round."""
    points = [100 * sign * float(row[name]) for name in ("difference", "lo", "hi")]
    lo, hi = sorted(points[1:])
    return f"{points[0]:+.1f} [{lo:+.1f}, {hi:+.1f}]"


def excludes_zero(row):
    return row["lo"] != "" and float(row["hi"]) < 0


def main():
    print("| drawing | reference | teacher − random | teacher − histogram | `collapse` | verdict |", f"`{SAME}` | verdict |")
    print("|---|---|---|---|---|---|---|---|")
    kept = True
    for path in sys.argv[1:]:
        lines = primary(path)
        worse, same = lines["collapse"], lines[SAME]
        kept &= all(excludes_zero(lines[name]) for name in ("random", "histogram", "collapse"))
        kept &= worse["verdict"] == "worse" and same["verdict"] in ("equivalent", "undecided")
        cells = [pathlib.Path(path).stem.removeprefix("drawing-"), f"{100 * float(lines['reference']['mean']):.1f}",
                 difference(lines["random"], -1), difference(lines["histogram"], -1),
                 difference(worse), worse["verdict"], difference(same), same["verdict"]]
        print("|", " | ".join(cells), "|")
    print("\nEvery drawing shows what the quickstart promises." if kept
          else "\nNot every drawing shows what the quickstart promises.")
    sys.exit(not kept)


if __name__ == "__main__":
    main()
