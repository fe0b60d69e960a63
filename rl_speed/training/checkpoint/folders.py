"""Where checkpoints lie, and what they are called."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

from rl_speed.system.errors import CheckpointError

MODEL_FILE = "model.ckpt"
EXPORT_FILE = "config.json"
LIBRARY = "rl-speed"  # as an export names it
_NAME = re.compile(r"^gradient_steps=(\d+)$")
_EXPERIENCE = re.compile(r"^experience_rank\d+\.pt$")


def checkpoint_name(gradient_steps: int) -> str:
    """A checkpoint's name: names sort as their gradient steps do."""
    return f"gradient_steps={gradient_steps:09d}"


def experience_file(rank: int) -> str:
    """Name of a rank's file beside the model."""
    return f"experience_rank{rank}.pt"


def is_experience_file(path: Path) -> bool:
    """Whether a file of a checkpoint is what `experience_file` names, of whichever rank."""
    return _EXPERIENCE.match(path.name) is not None


def list_checkpoints(directory: Path) -> list[Path]:
    """The whole checkpoints in a folder, most gradient steps first."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if _NAME.match(path.name) and (path / MODEL_FILE).is_file()]
    return sorted(found, key=lambda path: path.name, reverse=True)


def find_last(log_directory: Path) -> Path:
    """The newest checkpoint of the newest run that has one.

    Raises:
        CheckpointError: there is none.
    """
    found = []
    for run in log_directory.glob("version_*"):
        with suppress(PermissionError):  # a run of somebody else's
            found += list_checkpoints(run / "checkpoints")[:1]
    if not found:
        raise CheckpointError(
            f"--resume last: no checkpoint below {log_directory}; start a run without --resume, or name another "
            f"folder with --set logging.directory=..."
        )
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def is_export(folder: Path) -> bool:
    """Whether a folder is what `rl-speed export` writes."""
    try:
        content = json.loads((folder / EXPORT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("library_name") == LIBRARY


def resolve(path: Path) -> Path:
    """The folder of a checkpoint given by its folder, its model file, or a run's folder (then the newest); an export's.

    Raises:
        CheckpointError: there is nothing usable at the path.
    """
    try:
        if path.is_file() and path.name == MODEL_FILE:
            return path.parent
        if (path / MODEL_FILE).is_file() or is_export(path):
            return path
        for directory in (path, path / "checkpoints"):
            if newest := list_checkpoints(directory):
                return newest[0]
        what = "does not exist" if not path.exists() else "is not a checkpoint of rl_speed"
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    raise CheckpointError(f"checkpoint {path} {what}; give the folder of a run or one of its checkpoints")
