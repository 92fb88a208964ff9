#!/usr/bin/env python3
"""Writes docs/reference/{train,sweep,source}.md, a table of every configuration key, from the schemas in configs/schema.

    scripts/config-reference.py           # rewrite the pages
    scripts/config-reference.py --check   # exit with 1 and name the pages that differ

It needs Python 3 alone. The schemas come from the types of the programs (`make schemas`), so these pages cannot name a key that
the programs refuse.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "train": (
        "Keys of a training configuration",
        "Every key that `worker train CONFIG.yaml` accepts, for those who write or change a training configuration. All keys are "
        "optional: a key that is left out has the default of this page. `--set KEY=VALUE` changes one key of a file, and an arm of "
        "a sweep changes keys under the same names.",
    ),
    "sweep": (
        "Keys of a sweep file",
        "Every key that `orchestrator sweep FILE.yaml` accepts, for those who compare arms. [Sweeps](../sweeps.md) explains them "
        "with an example. The keys of `set` and of an arm are those of a [training configuration](train.md).",
    ),
    "source": (
        "Keys of a source description",
        "Every key that `shard-builder build DESCRIPTION.yaml` accepts, for those who describe a dataset. "
        "[Sources](../sources.md) begins with the shortest description that works.",
    ),
}
# Parts of the sweep schema that repeat the training schema, in words.
ELSEWHERE = {
    "changes": "changes: keys of a [training configuration](train.md), dotted or nested, with their values",
    "arm": "changes: keys of a [training configuration](train.md), dotted or nested, with their values; also `shards.train` and `slurm`",
    "values": "keys of a [training configuration](train.md), dotted or nested, each with a list of values",
}


def cell(text):
    """Text that stands in one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def value(found):
    """A YAML value as a reader would write it."""
    return f"`{json.dumps(found, ensure_ascii=False)}`" if not isinstance(found, str) else f"`{found}`"


class Page:
    """One schema as sections of tables."""

    def __init__(self, name):
        self.schema = json.loads((ROOT / "configs/schema" / f"{name}.json").read_text())
        self.sections = []  # (heading, introduction, rows)

    def resolved(self, node):
        """The node behind references, and the name of the last."""
        name = None
        while isinstance(node, dict) and "$ref" in node:
            name = node["$ref"].removeprefix("#/$defs/")
            outer = {key: text for key, text in node.items() if key != "$ref"}
            node = {**self.schema["$defs"][name], **outer}
        return node, name

    def kind(self, node):
        """What a value may be, in words."""
        node, name = self.resolved(node)
        if name in ELSEWHERE:
            return ELSEWHERE[name]
        if "const" in node:
            return value(node["const"])
        if "enum" in node:
            return ", ".join(value(one) for one in node["enum"])
        for key in ("anyOf", "oneOf"):
            if key in node:
                kinds = []
                for one in node[key]:
                    words = self.kind(one)
                    if words not in kinds:
                        kinds.append(words)
                return " or ".join(kinds) if len(kinds) < 4 else ", ".join(kinds)
        of = node.get("type", "any value")
        kinds = [self.simple(one, node) for one in (of if isinstance(of, list) else [of])]
        return " or ".join(kinds)

    def simple(self, of, node):
        """What a value of one type may be, in words."""
        if of in ("number", "integer"):
            words = "whole number" if of == "integer" else "number"
            low, high = node.get("minimum"), node.get("maximum")
            above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
            # Limits of the type itself tell a reader nothing.
            high = None if high is not None and high >= 2**31 else high
            if low is not None and high is not None:
                return f"{words} {low} to {high}"
            for limit, phrase in ((low, "from"), (above, "above"), (high, "to"), (below, "below")):
                if limit is not None:
                    words += f" {phrase} {limit}"
            return words
        if of == "array":
            return f"list of {self.kind(node['items'])}" if isinstance(node.get("items"), dict) else "list"
        if of == "object" and isinstance(node.get("additionalProperties"), dict):
            return f"map of names to {self.kind(node['additionalProperties'])}"
        if of == "object" and not node.get("properties"):
            return "map"
        return {"object": "keys below", "null": "`null`", "string": "text", "boolean": "`true` or `false`"}.get(of, of)

    def walk(self, node, path="", words="", tag=None):
        """Adds the section of an object, and those of the objects in it. The tag is the key and value that tells it from others."""
        rows, inside = [], []
        required = node.get("required", [])
        for key in sorted(node.get("properties", {})):
            part, name = self.resolved(node["properties"][key])
            self.row(rows, inside, (path, key), part, key in required, name)
        if rows:
            heading = f"`{path}`" if path else "Top level"
            self.sections.append((heading + (f" with `{tag}`" if tag else ""), words, rows))
        for part, (place, tag), text in inside:
            self.walk(part, place, text, tag)

    def row(self, rows, inside, place, part, required, name):
        """Adds the row of one key, and remembers the objects that it holds."""
        path, key = place
        full = f"{path}.{key}" if path else key
        text = part.get("description", "")
        choices = self.choices(part)
        objects = [] if name in ELSEWHERE else self.objects(part)
        if choices:
            text += " " + " ".join(f"{value(const)}: {words}" for const, words in choices)
        kind = ELSEWHERE.get(name) or self.kind(part)
        default = "required" if required else self.default(part, objects)
        rows.append((f"`{full}`", kind, default, text))
        for tag, one in objects:
            place = f"{full}[]" if self.is_list(part) else full
            inside.append((one, (place, tag), one.get("description", "") if tag else ""))

    def is_list(self, part):
        """Whether a value is a list of objects."""
        return part.get("type") == "array"

    @staticmethod
    def default(part, objects):
        """What holds where the key is left out."""
        if "default" not in part or objects:
            return ""
        found = part["default"]
        return "empty" if found in ([], {}) else value(found)

    def choices(self, part):
        """The named values of a key that have a description each."""
        found = [self.resolved(one)[0] for one in part.get("oneOf", [])]
        return [(one["const"], one.get("description", "")) for one in found if "const" in one and one.get("description")]

    def objects(self, part):
        """The objects that a value may be, each with the key and value that tell it from the others."""
        if self.is_list(part) and isinstance(part.get("items"), dict):
            item = self.resolved(part["items"])[0]
            return [(None, item)] if item.get("properties") else []
        if part.get("properties"):
            return [(None, part)]
        found = []
        for one in part.get("anyOf", part.get("oneOf", [])):
            one = self.resolved(one)[0]
            if one.get("oneOf") or one.get("anyOf"):
                found += self.objects(one)
            elif one.get("properties"):
                consts = [(key, node["const"]) for key, node in one["properties"].items() if "const" in node]
                found.append((": ".join(map(str, consts[0])) if consts else None, one))
        return found

    def text(self, title, introduction):
        """The page as Markdown."""
        self.walk(self.schema)
        out = [f"# {title}", "", introduction, "", "This page is generated by `scripts/config-reference.py` from `configs/schema`.", ""]
        for heading, words, rows in self.sections:
            out += [f"## {heading}", ""]
            out += [" ".join(words.split()), ""] if words else []
            out += ["| key | value | default | meaning |", "|---|---|---|---|"]
            out += ["| " + " | ".join(cell(one) for one in row) + " |" for row in rows]
            out.append("")
        return "\n".join(out)


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    differ = []
    for name, (title, introduction) in PAGES.items():
        path, text = ROOT / "docs/reference" / f"{name}.md", Page(name).text(title, introduction)
        if check and (not path.exists() or path.read_text() != text):
            differ.append(str(path.relative_to(ROOT)))
        elif not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if differ:
        sys.exit(f"{', '.join(differ)}: not what the schemas say; run scripts/config-reference.py")


if __name__ == "__main__":
    main()
