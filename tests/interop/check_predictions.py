"""pyarrow reads the predictions of `worker probe`, and scikit-learn computes from them the scores that its rows hold.

    python check_predictions.py PREDICTIONS.parquet ROWS.jsonl SHARD_SET
"""

import json
import math
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, precision_recall_fscore_support

WHOLE = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "weighted_f1": lambda truth, found: f1_score(truth, found, average="weighted", zero_division=0),
    "macro_f1": lambda truth, found: f1_score(truth, found, average="macro", zero_division=0),
}
OF_CLASSES = ("precision", "recall", "f1", "support")


def read(predictions: str) -> tuple[pa.Table, dict]:
    file = pq.ParquetFile(predictions)
    table, metadata = file.read(), json.loads(file.metadata.metadata[b"reddino"])
    assert metadata["version"] == 1, metadata["version"]
    return table, metadata


def scores(table: pa.Table, metadata: dict) -> dict[tuple, float]:
    """What scikit-learn makes of each probe and fold of each set of features."""
    found = {}
    task = metadata["task"]
    text = {name: np.array(table[name].cast(pa.string())) for name in
            ["features", "fold", "truth", *(probe["name"] for probe in task["probes"])]}
    for record in metadata["features"]:
        for fold in task["folds"]:
            here = (text["features"] == record["features"]) & (text["fold"] == fold)
            truth = text["truth"][here]
            for probe in (probe["name"] for probe in task["probes"]):
                predicted, key = text[probe][here], (record["features"], probe, fold)
                for metric, score in WHOLE.items():
                    found[(*key, metric, None)] = score(truth, predicted)
                of_classes = precision_recall_fscore_support(
                    truth, predicted, labels=task["classes"], average=None, zero_division=0)
                for metric, values in zip(OF_CLASSES, of_classes):
                    found |= {(*key, metric, name): value for name, value in zip(task["classes"], values)}
    return found


def check_rows(rows: str, found: dict[tuple, float]) -> int:
    compared = 0
    for row in map(json.loads, pathlib.Path(rows).read_text().splitlines()):
        if row["probe"] == "features" or row["metric"].startswith("optimum"):
            continue
        key = (row["features"], row["probe"], row["fold"], row["metric"], row.get("class"))
        expected = found[key]
        assert math.isclose(row["value"], expected, rel_tol=1e-12, abs_tol=1e-12), f"{key}: {row['value']} beside {expected}"
        compared += 1
    assert compared == len(found), f"{compared} rows of {len(found)} scores"
    return compared


def check_probabilities(table: pa.Table, task: dict) -> None:
    names = np.array(task["classes"])
    for probe in (probe["name"] for probe in task["probes"] if probe["probabilities"]):
        column = table[f"{probe}_probability"].combine_chunks()
        p = np.asarray(column.flatten()).reshape(-1, len(names))
        assert np.allclose(p.sum(axis=1), 1, atol=1e-5), probe
        predicted = np.array(table[probe].cast(pa.string()))
        largest = p.max(axis=1)
        of_predicted = p[np.arange(len(p)), np.searchsorted(names, predicted)]
        assert np.array_equal(largest, of_predicted), f"{probe}: the predicted class is not the most probable one"


def check_cells(table: pa.Table, metadata: dict, shards: str) -> None:
    """Each set of features has every cell of the shard set once, in its order, with its pixels and label."""
    files = sorted(map(str, pathlib.Path(shards, "shards").rglob("*.parquet")))
    columns = ["id", "pixel_digest", "source", "group", "label"]
    cells = pa.dataset.dataset(files).to_table(columns=columns)
    for record in metadata["features"]:
        ours = table.filter(pc.equal(table["features"].cast(pa.string()), record["features"]))
        for name in columns:
            here = ours["truth" if name == "label" else name]
            plain = cells[name].to_pylist()
            assert here.to_pylist() == plain, f"{record['features']}: {name}"


def main(predictions: str, rows: str, shards: str) -> None:
    table, metadata = read(predictions)
    compared = check_rows(rows, scores(table, metadata))
    check_probabilities(table, metadata["task"])
    check_cells(table, metadata, shards)
    print(f"check_predictions: {table.num_rows} lines, {compared} scores as scikit-learn computes them")


if __name__ == "__main__":
    main(*sys.argv[1:])
