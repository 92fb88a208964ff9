#!/usr/bin/env python3
"""Prints the two Markdown tables of docs/results/README.md from kept results.

    scripts/kept-tables.py FOLDER       # what scripts/keep-results.py wrote

The first table has weighted F1 in % under both linear probes, with the verdict of each arm; the second has the neighbour probes and the
spread of the features. `make interop` checks that the page contains both. It needs no package.
"""

import csv
import sys
from pathlib import Path

BASELINES = {"random": "random weights", "histogram": "colour histogram"}


def percent(value, sign=False):
    """A share as a percentage with one decimal, empty if there is none."""
    if not value:
        return ""
    shown = f"{100 * float(value):+.1f}" if sign else f"{100 * float(value):.1f}"
    return shown.replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0")


def interval(line, lo="lo", hi="hi"):
    return f"[{percent(line[lo], True)}, {percent(line[hi], True)}]" if line[lo] else "–"


def mean(line):
    spread = percent(line["std_over_seeds"])
    return percent(line["mean"]) + (f" ± {spread}" if spread else "")


def verdict(line):
    further = line["further_seeds"]
    return (line["verdict"] or "–") + (f" +{further}" if further.isdigit() and int(further) else "")


class Kept:
    """The lines of summary.csv, by arm, probe and metric."""

    def __init__(self, folder):
        lines = list(csv.DictReader((Path(folder) / "summary.csv").open()))
        self.lines = {(line["arm"] or line["features"], line["probe"], line["metric"]): line for line in lines}
        arms = list(dict.fromkeys(arm for arm, probe, _ in self.lines if probe == "linear"))
        self.arms = [arm for arm in arms if arm not in BASELINES] + [arm for arm in BASELINES if arm in arms]

    def of(self, arm, probe, metric="weighted_f1"):
        return self.lines[arm, probe, metric]


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def name(arm):
    return BASELINES.get(arm, f"`{arm}`")


def linear_probes(kept):
    head = ["arm", "seeds", "`linear_standardised`", "difference", "95 % interval", "over seeds alone", "p (Holm)", "verdict"]
    head += ["`linear`", "difference", "95 % interval"]
    rows = []
    for arm in kept.arms:
        primary, published = kept.of(arm, "linear_standardised"), kept.of(arm, "linear")
        p = f"{float(primary['p_holm']):.3f}" if primary["p_holm"] else "–"
        rows.append([name(arm), primary["seeds"], mean(primary), percent(primary["difference"], True) or "–", interval(primary)])
        rows[-1] += [interval(primary, "seeds_alone_lo", "seeds_alone_hi"), p, verdict(primary)]
        rows[-1] += [mean(published), percent(published["difference"], True) or "–", interval(published)]
    return table(head, rows)


def neighbours_and_spread(kept):
    head = ["arm", "`1nn`", "difference", "95 % interval", "`20nn`", "difference", "95 % interval", "effective rank", "median std", "alignment"]
    rows = []
    for arm in kept.arms:
        rows.append([name(arm)])
        for probe in ["1nn", "20nn"]:
            line = kept.of(arm, probe)
            rows[-1] += [mean(line), percent(line["difference"], True) or "–", interval(line)]
        for metric in ["effective_rank", "median_std", "alignment"]:
            rows[-1].append(f"{float(kept.of(arm, 'features', metric)['mean']):.2f}")
    return table(head, rows)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    kept = Kept(sys.argv[1])
    print(linear_probes(kept))
    print()
    print(neighbours_and_spread(kept))
