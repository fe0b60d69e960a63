"""The curves of a run that goes on from a checkpoint: points written after it, before the run was killed, are cut off.

TensorBoard's own way, a purge from one x on, cannot do it: the tags of a run have two x axes, episodes and env steps.
"""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from rl_speed.system.durable import sync_file
from rl_speed.training.curve_files import cut_rows
from rl_speed.training.logger import EPISODE_TAGS


def cut_curves(folder: Path, episodes: int, env_steps: int, gradient_steps: int) -> None:
    """Takes the points beyond the checkpoint out of the event and CSV files; half a record at a file's end goes too.

    Args:
        folder: of the run, which nobody writes to.
        episodes: of the run at the checkpoint.
        env_steps: likewise.
        gradient_steps: likewise.

    Raises:
        CurveFileError: a CSV file holds something else.
        OSError: a file cannot be written; it is left as it was.
    """
    for path in sorted(folder.glob("events.out.tfevents.*")):
        _cut(path, episodes, env_steps)
    cut_rows(folder, episodes, env_steps, gradient_steps)


def _cut(path: Path, episodes: int, env_steps: int) -> None:
    temporary = path.with_name(f".{path.name}.partial")
    is_changed = False
    try:
        with temporary.open("wb") as file:
            writer = RecordWriter(file)
            for record in RawEventFileLoader(str(path)).Load():
                if _is_beyond(Event.FromString(record), episodes, env_steps):
                    is_changed = True
                else:
                    writer.write(record)
            sync_file(file)
            is_changed = is_changed or file.tell() != path.stat().st_size
        if is_changed:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_beyond(event: Event, episodes: int, env_steps: int) -> bool:
    tags = [value.tag for value in event.summary.value]
    if not tags:  # the file's version, or what the run was asked for
        return False
    return bool(event.step > (episodes if tags[0] in EPISODE_TAGS else env_steps))
