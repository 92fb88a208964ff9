"""Measures the variance components that the simulation of the statistics uses, from features of a sweep's runs.

    pip install -r bench/statistics/requirements.txt
    python bench/statistics/measure.py SPLIT.parquet RUNS_OF_REFERENCE... --arm RUNS_OF_ARM... \\
        >crates/results/src/stats/components.json

SPLIT.parquet is the split of the evaluation set (`shard-builder split`), and each of the others is what `worker embed` writes
of one run on that set; the runs of both arms stand in the order of their seeds. A linear probe on standardised
features is fitted to all folds but one, as `worker probe` does, and predicts that one. Components are those of the
difference of the two arms, arm minus reference, in balanced accuracy:

  seed        between seeds
  fold        between folds, beyond what their groups explain
  group       between groups (images) of one fold, shared by all seeds
  seed_group  of one group under one seed, beyond what chance in its cells explains
  alike       share of cells whose two predictions (arm and reference, one seed) agree beyond chance
  source      between sources: one source was measured, so this is the group's over the square root of its groups, a guess

Standard deviations, as fractions. Each is estimated from mean squares and set to zero where that is negative.
"""

import argparse
import json

import numpy as np
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def predictions(path, fold_of_group):
    table = pq.read_table(path, columns=["id", "group", "label", "feature"]).sort_by("id")
    features = np.stack(table["feature"].to_numpy())
    labels, groups = table["label"].to_numpy(), table["group"].to_numpy()
    folds = np.array([fold_of_group[g] for g in groups])
    predicted = np.empty_like(labels)
    for fold in np.unique(folds):
        train = folds != fold
        scaler = StandardScaler().fit(features[train])
        probe = LogisticRegression(solver="newton-cg", max_iter=100, tol=1e-3)
        probe.fit(scaler.transform(features[train]), labels[train])
        predicted[~train] = probe.predict(scaler.transform(features[~train]))
    return labels, groups, folds, predicted


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("split")
    parser.add_argument("reference", nargs="+")
    parser.add_argument("--arm", nargs="+", required=True)
    args = parser.parse_args()
    split = pq.read_table(args.split)
    fold_of_group = dict(zip(split["group"].to_pylist(), split["fold"].to_pylist()))
    seeds = len(args.reference)
    assert seeds == len(args.arm) >= 2, "as many runs of the arm as of the reference"
    pairs = [(predictions(r, fold_of_group), predictions(a, fold_of_group)) for r, a in zip(args.reference, args.arm)]
    labels, groups, folds = pairs[0][0][:3]
    right = np.array([[p[3] == labels for p in pair] for pair in pairs], dtype=float)  # [seed, arm, cell]
    difference = right[:, 1] - right[:, 0]  # [seed, cell]
    # A weight for each cell turns sums of hits into balanced accuracy: each class counts the same within its fold.
    weight = np.zeros(len(labels))
    for fold in np.unique(folds):
        classes = np.unique(labels[folds == fold])
        for name in classes:
            of_class = (folds == fold) & (labels == name)
            weight[of_class] = 1 / (len(classes) * of_class.sum())
    by_fold = np.array([[(weight * d)[folds == f].sum() for f in np.unique(folds)] for d in difference])  # [seed, fold]
    names = np.unique(groups)
    plain = np.array([[d[groups == g].mean() for g in names] for d in difference])  # [seed, group], each cell the same
    cells = np.array([(groups == g).sum() for g in names])
    enough = cells >= 8
    plain, cells, fold_of = plain[:, enough], cells[enough], np.array([fold_of_group[g] for g in names[enough]])
    for fold in np.unique(fold_of):
        plain[:, fold_of == fold] -= plain[:, fold_of == fold].mean(axis=1, keepdims=True)
    # Two-way layout seed × group: shared by the seeds, and particular to each.
    total = (plain.mean(axis=0) ** 2).sum() / (len(cells) - len(np.unique(fold_of)))
    one = (plain**2).sum() / seeds / (len(cells) - len(np.unique(fold_of)))
    interaction = (one - total) * seeds / (seeds - 1)
    shared = total - interaction / seeds
    # Hits of a cell are shared by the seeds as far as its difficulty is; the rest is chance.
    chance = difference.var(axis=0, ddof=1).mean() * (1 / cells).mean()
    cell_shared = max((difference.mean(axis=0).var() - difference.var(axis=0, ddof=1).mean() / seeds), 0)
    group = max(shared - cell_shared * (1 / cells).mean(), 0)
    folds_centred = by_fold - by_fold.mean(axis=1, keepdims=True)
    n = by_fold.shape[1]
    fold_total = (folds_centred.mean(axis=0) ** 2).sum() / (n - 1)
    fold_one = (folds_centred**2).sum() / seeds / (n - 1)
    fold_shared = fold_total - (fold_one - fold_total) / (seeds - 1)
    per_fold = len(cells) / n
    fold = max(fold_shared - shared / per_fold, 0)
    seed_means = by_fold.mean(axis=1)
    seed = max(seed_means.var(ddof=1) - (fold_one - fold_total) * seeds / (seeds - 1) / n, 0)
    p = right.mean(axis=(0, 2))
    agree = (right[:, 0] == right[:, 1]).mean()
    by_chance = p.prod() + (1 - p).prod()
    values = {
        "seed": seed**0.5,
        "source": (group / per_fold) ** 0.5,
        "fold": fold**0.5,
        "group": group**0.5,
        "seed_group": max(interaction - chance, 0) ** 0.5,
        "alike": max((agree - by_chance) / (1 - by_chance), 0),
    }
    report = {
        "command": "bench/statistics/measure.py, see bench/statistics/README.md",
        "measured": {
            "seeds": seeds,
            "folds": n,
            "groups": len(names),
            "cells": len(labels),
            "classes": len(np.unique(labels)),
            "balanced_accuracy": [round(float(v), 4) for v in (weight * right).sum(axis=2).mean(axis=0) / n],
            "difference_by_seed": [round(float(v), 4) for v in seed_means],
        },
        "components": {name: round(float(value), 4) for name, value in values.items()},
    }
    print(json.dumps(report, indent=2))


main()
