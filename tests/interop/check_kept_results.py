"""scikit-learn computes the scores of kept results from the kept predictions, and numpy the means of the table from the scores; the page
beside the folder shows the tables that scripts/kept-tables.py prints.

    python check_kept_results.py FOLDER       # what scripts/keep-results.py wrote
"""

import csv
import math
import pathlib
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

METRICS = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "weighted_f1": lambda truth, found: f1_score(truth, found, average="weighted", zero_division=0),
    "macro_f1": lambda truth, found: f1_score(truth, found, average="macro", zero_division=0),
}
PROBES = ["linear", "1nn", "20nn", "linear_standardised"]


def text(table: pa.Table, column: str) -> np.ndarray:
    return np.array(table[column].cast(pa.string()))


def scores(folder: pathlib.Path) -> dict[tuple, float]:
    """Set, arm, seed, probe, fold, metric → what scikit-learn finds."""
    cells, predicted = pq.read_table(folder / "cells.parquet"), pq.read_table(folder / "predicted.parquet")
    found = {}
    for name in sorted(set(text(cells, "set"))):
        of_set = text(cells, "set") == name
        truth, fold = text(cells, "truth")[of_set], text(cells, "fold")[of_set]
        here = predicted.filter(pa.array(text(predicted, "set") == name))
        arms, seeds, numbers = text(here, "arm"), np.array(here["seed"]), np.array(here["cell"])
        columns = {probe: text(here, probe) for probe in PROBES}
        for arm, seed in sorted(set(zip(arms.tolist(), seeds.tolist()))):
            mine = (arms == arm) & (seeds == seed)
            assert np.array_equal(numbers[mine], np.arange(len(truth))), f"{arm} {seed}: not every cell once"
            for probe in PROBES:
                values = columns[probe][mine]
                for held in sorted(set(fold)):
                    for metric, score in METRICS.items():
                        found[name, arm, seed, probe, held, metric] = score(truth[fold == held], values[fold == held])
    return found


def check_rows(folder: pathlib.Path, found: dict[tuple, float]) -> int:
    compared = 0
    for row in pq.read_table(folder / "rows.parquet").to_pylist():
        key = tuple(row[column] for column in ["dataset", "arm", "seed", "probe", "fold", "metric"])
        if row.get("class") is None and row.get("evaluation") is None and key in found:
            assert math.isclose(row["value"], found[key], rel_tol=1e-12), f"{key}: {row['value']} beside {found[key]}"
            compared += 1
    assert compared == len(found), f"{compared} rows of {len(found)} scores"
    return compared


def check_table(folder: pathlib.Path, found: dict[tuple, float]) -> int:
    """Means over folds, then over the seeds that the reference has too. The kept sets have one source each, so no mean over sources lies
    between."""
    of_arm, seeds = defaultdict(list), defaultdict(set)
    for name, arm, seed, *_ in found:
        seeds[arm].add(seed)
    for (name, arm, seed, probe, _, metric), value in found.items():
        if seed in seeds["reference"]:
            of_arm[name, arm, probe, metric].append(value)
    compared = 0
    for line in csv.DictReader((folder / "summary.csv").open()):
        key = (line["dataset"], line["arm"] or line["features"], line["probe"], line["metric"])
        if key in of_arm and line["mean"]:
            assert math.isclose(float(line["mean"]), np.mean(of_arm[key]), rel_tol=1e-9), f"{key}: {line['mean']}"
            compared += 1
    assert compared, "no line of summary.csv was compared"
    return compared


def check_page(folder: pathlib.Path) -> None:
    script = pathlib.Path(__file__).parents[2] / "scripts" / "kept-tables.py"
    tables = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, check=True).stdout
    page = folder.parent / "README.md"
    for table in tables.strip().split("\n\n"):
        assert table in page.read_text(), f"{page} does not show what {script.name} {folder} prints"


def main(folder: pathlib.Path) -> None:
    found = scores(folder)
    check_page(folder)
    rows, lines = check_rows(folder, found), check_table(folder, found)
    print(f"check_kept_results: {rows} scores of {folder} as scikit-learn computes them, {lines} means of its table")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
