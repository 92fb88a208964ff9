"""TensorBoard and Prometheus read what `worker train` and `worker metrics` wrote, each step once, with the run's values.

    python check_metrics.py RUN LIVE_EVENTS LATER_EVENTS FILE.prom

The run was taken up again from an older checkpoint, so the live events hold some steps twice on disk.
"""

import json
import math
import pathlib
import sys

from prometheus_client.parser import text_string_to_metric_families
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def published(run: str) -> dict[int, dict]:
    """Lines by step; of a step done twice the later attempt's."""
    lines: dict[int, dict] = {}
    files = pathlib.Path(run, "metrics").glob("*.jsonl")
    for file in sorted(files, key=lambda file: (file.stem.rsplit("-a")[-1], file.stem)):
        for line in map(json.loads, file.read_text().splitlines()):
            lines[line["step"]] = line
    return lines


def check_events(folder: str, lines: dict[int, dict]) -> None:
    events = EventAccumulator(folder, size_guidance={"scalars": 0})
    events.Reload()
    for tag, pick in {"loss": lambda l: l["loss"], "grad_norm/backbone": lambda l: l["grad_norm"]["backbone"]}.items():
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        assert [step for step, _ in found] == sorted(lines), f"{folder}: steps of {tag}: {[s for s, _ in found]}"
        for step, value in found:
            assert math.isclose(value, pick(lines[step]), rel_tol=1e-6), f"{folder}: {tag} at {step}: {value}"


def check_prometheus(file: str, run: str, last: dict) -> None:
    samples = {}
    for family in text_string_to_metric_families(pathlib.Path(file).read_text()):
        assert family.documentation and family.type in ("gauge", "counter"), family
        for sample in family.samples:
            assert sample.labels["run"].endswith(run), sample
            assert math.isfinite(sample.value), sample
            samples[sample.name, sample.labels.get("module")] = sample.value
    assert samples["reddino_train_step", None] == last["step"]
    assert samples["reddino_train_loss", None] == last["loss"]
    assert samples["reddino_train_gradient_norm", "backbone"] == last["grad_norm"]["backbone"]


def main(run: str, live: str, later: str, prom: str) -> None:
    lines = published(run)
    on_disk = sum(1 for _ in pathlib.Path(live).iterdir())
    assert on_disk == 2, f"{live} should hold a file of each attempt, not {on_disk}"
    check_events(live, lines)
    check_events(later, lines)
    check_prometheus(prom, run, lines[max(lines)])
    print(f"check_metrics: {len(lines)} steps, each once, in TensorBoard; the last one in Prometheus")


if __name__ == "__main__":
    main(*sys.argv[1:])
