"""Reads a shard set with splits by Hugging Face datasets and DuckDB: check_splits.py SHARDDIR

`train` and `test` must come apart, with the columns `role` and `split` in each row, and no group in both.
"""

import os
import sys
import tempfile

import datasets
import duckdb


def expect(condition, sentence):
    if not condition:
        sys.exit(f"check_splits: {sentence}")


def main():
    root = sys.argv[1]
    with tempfile.TemporaryDirectory() as cache:
        loaded = datasets.load_dataset(root, cache_dir=cache)
        expect(set(loaded) == {"train", "test"}, f"load_dataset gives the splits {sorted(loaded)}")
        groups = {}
        for name, rows in loaded.items():
            expect(set(rows["split"]) == {name}, f"rows of {name} say {sorted(set(rows['split']))}")
            expect(set(rows["role"]) <= {"training", "evaluation"}, f"roles are {sorted(set(rows['role']))}")
            expect(rows[0]["image"].size[0] > 0, "an image does not decode")
            groups[name] = set(rows["group"])
        expect(not groups["train"] & groups["test"], "a group is in both splits")
        streamed = datasets.load_dataset(root, streaming=True)
        expect(next(iter(streamed["test"]))["split"] == "test", "a streamed row of test is of another split")
    counts = duckdb.sql(f"select split, count(*) from '{os.path.join(root, 'shards', '*', '*.parquet')}' group by all").fetchall()
    expect(dict(counts) == {name: rows.num_rows for name, rows in loaded.items()}, f"DuckDB counts {counts}")
    print(f"check_splits: train and test come apart, {dict(counts)}")


if __name__ == "__main__":
    main()
