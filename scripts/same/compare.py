#!/usr/bin/env python3
"""Compares what scripts/same/work.sh wrote with the programs of two commits.

    scripts/same/compare.py BEFORE AFTER

Every file must hold the same bytes. JSON, JSON lines and text may differ in the facts of VARYING only: the code version, times,
the process, and digests of records that hold one of these. Folders and keys named by a trial's digest, which covers the code
version, are matched by the trial's configuration and seed. Prints each file that differs, and how many were compared by kind.
"""

import collections
import csv
import hashlib
import json
import pathlib
import re
import sys

# Facts of a record that hold the code version, a time, a process or a place, or a digest over such a fact.
VARYING = {
    "attempts", "binary", "builder", "code", "code_probe", "command", "commit", "data_wait", "device_s", "holder", "host", "hours",
    "images_per_s", "leader", "memory_mb", "names", "pid", "probes", "record_digest", "seconds", "split_digest", "tables", "trial", "trials", "unix_s", "version",
}
# Kinds of files that must be the same to the byte.
BYTES = {".parquet", ".png", ".safetensors", ".svg", ".jpg", ".bmp", ".tif", ".npy", ".onnx"}
VERSION = re.compile(r"\d+\.\d+\.\d+\+[0-9a-f]{6,}(-dirty)?|unknown commit")
SECONDS = re.compile(r"\b\d+(\.\d+)? ?(s|ms|min|hours?|h)\b")


def trials(root):
    """Digest of each trial in a store, and a name that does not depend on the code version."""
    names = {}
    for config in sorted(root.glob("store/trials/*/seed-*/config.json")):
        value = json.loads(config.read_text())
        value.pop("seed", None)
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
        names[config.parent.parent.name] = f"TRIAL-{digest}"
    return names


def sets(root):
    """Digests of shard sets and of their configurations, which hold the builder's version: names that do not."""
    names = {}
    for manifest in sorted(root.rglob("manifest.json")):
        value = json.loads(manifest.read_text())
        names[value["config"]] = f"CONFIG-{manifest.parent.name}"
        names[value["shards"][0]["key"].split("/")[1]] = f"CONTENT-{manifest.parent.name}"
    for index in sorted(root.rglob("fingerprints/*/index.json")):
        names[json.loads(index.read_text())["shards"]] = f"SET-{index.parents[2].name}"
    for plan in sorted(root.glob("store/sweeps/*/plans/*.json")):
        names[json.loads(plan.read_text())["digest"]] = f"SWEEP-{plan.parent.parent.name}"
    for run in sorted(root.glob("run-*/run.json")):
        names[json.loads(run.read_text())["shards"]] = f"SET-{run.parent.name.removeprefix('run-')}"
    return names


def neutral(text, names, root):
    for digest, name in names.items():
        text = text.replace(digest, name).replace(digest[:12], name)
    text = re.sub(r"probes-[0-9a-f]{12}", "probes-PLAN", text)
    return VERSION.sub("VERSION", text.replace(str(root.resolve()), "ROOT"))


def without(value):
    """A JSON value without what may differ, and without digests of JSON files, which are compared themselves."""
    if isinstance(value, list):
        return [without(item) for item in value]
    if not isinstance(value, dict):
        return value
    of_json = str(value.get("key", "")).endswith((".json", ".jsonl"))
    kept = {key: item for key, item in value.items() if key not in VARYING and not (of_json and key == "digest")}
    return {key: "DIGEST" if key.endswith((".json", ".jsonl")) else without(item) for key, item in kept.items()}


def files(root):
    names = trials(root) | sets(root)
    found = {}
    for path in sorted(root.rglob("*")):
        relative = neutral(str(path.relative_to(root)), names, root)
        # What a process said, and where it ran, is not part of what it made.
        if path.is_file() and not relative.endswith((".log", "log.txt")) and "/local/" not in f"/{relative}":
            relative = re.sub(r"(sweeps/[^/]+/)[0-9a-f]{64}", r"\1SWEEP", relative)
            found[relative] = path
    return found, names


def content(path, names, root):
    data = path.read_bytes()
    if path.suffix == ".parquet" and "tables" in path.parts:
        return b"the rows of a table name trials; they are compared as rows-*.jsonl"
    if path.suffix == ".parquet" and path.parent.name == "splits":
        return b"a split names its set by digest; its folds are compared through the rows"
    if path.suffix in BYTES:
        return data
    text = neutral(data.decode(), names, root)
    if path.name == "summary.csv":
        lines = list(csv.reader(text.splitlines()))
        hours = lines[0].index("hours")
        return [line[:hours] + line[hours + 1:] for line in lines]
    if path.suffix == ".json":
        return json.dumps(without(json.loads(text)), sort_keys=True)
    if path.suffix == ".jsonl":
        return [json.dumps(without(json.loads(line)), sort_keys=True) for line in text.splitlines()]
    return SECONDS.sub("TIME", text)


def main():
    roots = [pathlib.Path(argument) for argument in sys.argv[1:3]]
    (before, names_before), (after, names_after) = files(roots[0]), files(roots[1])
    kinds, wrong = collections.Counter(), []
    for relative in sorted(before.keys() | after.keys()):
        if relative not in before or relative not in after:
            wrong.append(f"{relative}: only {'after' if relative in after else 'before'}")
            continue
        mine = content(before[relative], names_before, roots[0])
        theirs = content(after[relative], names_after, roots[1])
        if mine != theirs:
            wrong.append(f"{relative}: differs")
        kinds[pathlib.Path(relative).suffix or "other"] += 1
    for line in wrong:
        print(line)
    print(f"{sum(kinds.values())} files compared: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    print("the same" if not wrong else f"{len(wrong)} DIFFER")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
