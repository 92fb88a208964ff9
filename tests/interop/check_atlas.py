"""The page that embedding-atlas exports shows every row of our features, at its place.

    python check_atlas.py PAGE.zip FEATURES.parquet
"""

import io
import sys
import zipfile

import pyarrow.parquet as pq


def main(page: str, features: str) -> None:
    with zipfile.ZipFile(page) as opened:
        shown = pq.read_table(io.BytesIO(opened.read("data/dataset.parquet")))
    ours = pq.read_table(features)
    for column in ("id", "label", "x", "y"):
        if column not in shown.column_names or shown[column].to_pylist() != ours[column].to_pylist():
            sys.exit(f"check_atlas: the column {column} is not ours")
    print(f"check_atlas: {len(shown)} rows with label and place")


if __name__ == "__main__":
    main(*sys.argv[1:])
