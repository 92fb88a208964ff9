"""Every YAML file of a folder holds under the JSON schema that its first line names, and mistakes do not.

    python check_schemas.py CONFIGS
"""

import copy
import json
import pathlib
import sys

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

NAMED = "# yaml-language-server: $schema="
# A kind of file, and mistakes in one of them: where, and what is written there.
MISTAKES = {
    "source": [
        (["licenses"], "MIT"),
        (["membership"], "perhaps"),
        (["images", "include"], "*.jpg"),
        (["label"], {"from": "voc", "path": "x.xml"}),
        (["cells", "size"], "wide"),
    ],
    "sampling": [
        (["seed"], "any"),
        (["piles"], {"name": "white cells"}),
        (["balance"], True),
    ],
    "train": [
        (["model", "dept"], 12),
        (["model", "dim"], "wide"),
        (["loss", "koleo_weight"], -1),
        (["loss", "centering"], "centring"),
        (["crops", "global_scale"], [0.32, 2]),
        (["colour_order"], "rgb"),
    ],
    "sweep": [
        (["seed"], [0]),
        (["slots"], 0),
        (["arms", "wrong"], {"loss.koleo_weigth": 0.1}),
        (["arms", "wrong"], {"loss": {"koleo_weight": "much"}}),
        (["arms", "wrong"], {"seed": 3}),
        (["set", "model"], {"dept": 2}),
        (["grid"], {"loss.n_local": 3}),
        (["slurm"], {"node": 2}),
        (["shards", "eval"], [{"name": "cells"}]),
    ],
}


def with_text_keys(value):
    """Keys of YAML may be numbers, as in a table of labels; those of JSON are text."""
    if isinstance(value, dict):
        return {str(key): with_text_keys(item) for key, item in value.items()}
    return [with_text_keys(item) for item in value] if isinstance(value, list) else value


def with_mistake(value, path, wrong):
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner[key] = inner.get(key) or {}
        inner = inner[key]
    inner[path[-1]] = wrong
    return value


def main() -> None:
    seen = set()
    files = sorted(pathlib.Path(sys.argv[1]).rglob("*.yaml"))
    assert len(files) > 10, files
    for file in files:
        first = file.read_text().splitlines()[0]
        assert first.startswith(NAMED), f"{file}: the first line names no schema"
        path = file.parent / first.removeprefix(NAMED)
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema)
        value = with_text_keys(YAML(typ="safe", pure=True).load(file))
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
        assert not errors, f"{file}: {errors}"
        for where, wrong in MISTAKES[path.stem]:
            assert not validator.is_valid(with_mistake(value, where, wrong)), f"{file}: {where} = {wrong} is accepted"
        seen.add(path.stem)
    assert seen == MISTAKES.keys(), seen
    print(f"{len(files)} files hold under {len(seen)} schemas, and {sum(map(len, MISTAKES.values()))} mistakes do not")


main()
