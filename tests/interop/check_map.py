"""pyarrow reads the coordinates that `worker embed --map` adds, beside the same columns as without; PCA's are scikit-learn's.

    python check_map.py FEATURES.parquet PCA.parquet UMAP.parquet

embedding-atlas and Spotlight take columns called x and y for a map.
"""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.decomposition import PCA

BAR = 1e-4


def main(plain: str, pca: str, umap: str) -> None:
    without = pq.read_table(plain)
    if {"x", "y"} & set(without.column_names):
        sys.exit("check_map: there are coordinates where none were asked for")
    features = np.asarray(without["feature"].to_pylist(), dtype=np.float32)
    places = {}
    for method, file in [("pca", pca), ("umap", umap)]:
        table = pq.read_table(file)
        if table.column_names != [*without.column_names, "x", "y"] or table.select(without.column_names) != without:
            sys.exit(f"check_map: {method}: the other columns are not those without a map")
        for axis in ("x", "y"):
            if table.schema.field(axis).type != pa.float32() or table[axis].null_count:
                sys.exit(f"check_map: {method}: {axis} is {table.schema.field(axis)}")
        places[method] = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], 1)
        if not np.isfinite(places[method]).all() or places[method].std(0).min() == 0:
            sys.exit(f"check_map: {method}: places are not a map")
    theirs = PCA(2, svd_solver="full").fit_transform(features.astype(np.float64))
    worst = np.abs(places["pca"] - theirs).max() / np.abs(theirs).max()
    print(f"check_map: {len(features)} rows, largest difference to scikit-learn's PCA: {worst:.1e} (bar {BAR:.0e})")
    if not worst < BAR:
        sys.exit("check_map: the map is not scikit-learn's PCA")


if __name__ == "__main__":
    main(*sys.argv[1:])
