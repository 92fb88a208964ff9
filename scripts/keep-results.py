#!/usr/bin/env python3
"""Copies what a finished sweep found out of its store, small enough for a repository and without any image.

    scripts/keep-results.py STORE SWEEP FOLDER        # STORE is a folder; FOLDER gets the files below, those of an earlier call are replaced

    cells.parquet      one line per evaluated cell: set, cell (its number), id, group, fold, truth
    predicted.parquet  one line per arm or baseline, seed and cell: the class that each probe predicts
    rows.parquet       the scores, as docs/rows.md describes them
    table.md, summary.csv, classes.csv, figure-*.svg, and evaluations.csv where there were any: the newest table of the sweep

Probabilities are left out: they would take twenty times the space. `tests/interop/check_kept_results.py FOLDER` computes the scores again
from the predictions. It needs pyarrow (tests/interop/requirements.txt).
"""

import json
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

PROBES = ["linear", "1nn", "20nn", "linear_standardised"]


def newest(files):
    """The file whose number is the largest: `7.json`, or a folder `attempt-7` or `7`."""
    return max(files, key=lambda path: int(path.stem.rpartition("-")[2]))


def trials(plan):
    """(arm or baseline, seed, trial digest) of everything that the plan contains."""
    for arm in plan["arms"]:
        for seed in plan["seeds"]:
            yield arm["name"], seed, arm["trial"]
    for baseline in plan["baselines"]:  # one entry for each seed
        yield baseline["features"], baseline["seed"], baseline["arm"]["trial"]


def attempts(store, trial, seed):
    """The finished attempts at scoring a trial."""
    folder = store / "trials" / trial / f"seed-{seed}"
    return [path.parent for path in folder.glob("probes-*/attempt-*/result.json") if not (path.parent / "set-aside.json").exists()]


def cells_of(table, name):
    """The evaluated cells, numbered in the order of the shard set."""
    text = {column: table[column].cast(pa.string()) for column in ["id", "group", "fold", "truth"]}
    return pa.table({"set": pa.array([name] * len(table)).dictionary_encode(), "cell": pa.array(range(len(table)), pa.int32()), **text})


def predicted_of(table, arm, seed, name):
    """The predicted classes of one arm and seed."""
    columns = {"arm": [arm] * len(table), "set": [name] * len(table)}
    columns = {key: pa.array(values).dictionary_encode() for key, values in columns.items()}
    columns["seed"] = pa.array([seed] * len(table), pa.int32())
    columns["cell"] = pa.array(range(len(table)), pa.int32())
    return pa.table(columns | {probe: table[probe].cast(pa.string()) for probe in PROBES})


def read(attempt, arm, seed, cells):
    """Predictions and rows of an attempt; the cells of its sets are added to `cells`."""
    predictions, rows = [], []
    for file in sorted(attempt.glob("predictions-*.parquet")):
        name, table = file.stem.removeprefix("predictions-"), pq.read_table(file)
        cells.setdefault(name, cells_of(table, name))
        if cells[name]["id"].to_pylist() != table["id"].to_pylist():
            sys.exit(f"{file}: the cells are not those of other trials")
        predictions.append(predicted_of(table, arm, seed, name))
    for file in sorted(attempt.glob("rows-*.jsonl")):
        rows += [json.loads(line) | {"arm": arm, "seed": seed} for line in file.read_text().splitlines()]
    return predictions, rows


def main(store, sweep, folder):
    store, folder = Path(store), Path(folder)
    plan = json.loads(newest((store / "sweeps" / sweep / "plans").glob("*.json")).read_text())
    folder.mkdir(parents=True, exist_ok=True)
    predictions, rows, cells, missing = [], [], {}, []
    for arm, seed, trial in trials(plan):
        finished = attempts(store, trial, seed)
        if not finished:
            missing.append(f"{arm}/seed-{seed}")
            continue
        of_attempt = read(newest(finished), arm, seed, cells)
        predictions, rows = predictions + of_attempt[0], rows + of_attempt[1]
    if not rows:
        sys.exit(f"{store}: no trial of {sweep} has finished")
    write = lambda table, name: pq.write_table(table, folder / name, compression="zstd", compression_level=19)
    write(pa.concat_tables(cells.values()), "cells.parquet")
    write(pa.concat_tables(predictions).unify_dictionaries(), "predicted.parquet")
    write(pa.Table.from_pylist(rows), "rows.parquet")
    tables = newest((store / "sweeps" / sweep / plan["digest"] / "tables").iterdir())
    shutil.copy(tables / "report.md", folder / "table.md")
    for file in [tables / "summary.csv", tables / "classes.csv", *tables.glob("evaluations.csv"), *tables.glob("figure-*.svg")]:
        shutil.copy(file, folder / file.name)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {len(rows)} rows, code {plan['code']['version']}, {size / 1e6:.1f} MB; not finished: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
