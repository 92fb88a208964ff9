"""Writes events.tfevents with TensorBoard's own protocol buffers and record writer: what our writer must give byte for byte.

Packages: tests/golden/requirements-events.txt.
"""

import io
import pathlib

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


def main() -> None:
    out = io.BytesIO()
    writer = RecordWriter(out)

    def write(event: Event) -> None:
        writer.write(event.SerializeToString(deterministic=True))

    def scalars(wall_time: float, step: int, values: dict[str, float]) -> None:
        value = [Summary.Value(tag=tag, simple_value=number) for tag, number in values.items()]
        write(Event(wall_time=wall_time, step=step, summary=Summary(value=value)))

    write(Event(wall_time=1_700_000_000.25, file_version="brain.Event:2"))
    write(Event(wall_time=1_700_000_000.25, step=300, session_log=SessionLog(status=SessionLog.START)))
    scalars(1_700_000_001.5, 300, {"loss": 7.625, "grad_norm/backbone": 0.1})
    scalars(1_700_000_002.0, 4_000_000_000, {"lr": 0.0})
    scalars(1_700_000_003.0, 0, {"loss": -1.5})
    (pathlib.Path(__file__).parent / "events.tfevents").write_bytes(out.getvalue())


if __name__ == "__main__":
    main()
