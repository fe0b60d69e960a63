"""A run's folder: its number is taken by making it, and a lock keeps other runs out of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import yaml
from filelock import Timeout

from rl_speed.config import RunConfig
from rl_speed.system.errors import UserError
from rl_speed.system.folder_lock import LOCK_FILE, lock_folder

CONFIG_FILE = "config.yaml"
CHECKPOINTS = "checkpoints"


class RunFolder:
    """A folder that belongs to this process until `release`; the system lets go of it when the process ends.

    Args:
        path: a folder that is there.

    Raises:
        UserError: another process has it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._lock = lock_folder(path)
        except Timeout:
            raise UserError(
                f"run {path} is in use by another process that trains it; stop that one first, or start a new run"
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from None
        if self._lock.is_locked:  # else another process may be writing
            for leftover in path.glob(".*.partial"):  # of a process that was killed while it wrote
                leftover.unlink(missing_ok=True)

    def release(self) -> None:
        """Lets go of the folder; one that nothing was written to is removed."""
        self._lock.release()
        with suppress(OSError):  # somebody has removed it
            if {item.name for item in self.path.iterdir()} <= {LOCK_FILE}:
                (self.path / LOCK_FILE).unlink(missing_ok=True)
                self.path.rmdir()


def new_run_folder(directory: Path) -> RunFolder:
    """The next free version_N below `directory`; two runs that start at once get two.

    Raises:
        UserError: it cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_number(path) for path in directory.iterdir()), default=-1)
        while True:
            path = directory / f"version_{number}"
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
            else:
                return RunFolder(path)
    except OSError as error:
        raise _unwritable(directory, error) from None


def run_of(checkpoint: Path) -> Path | None:
    """The folder of the run that a checkpoint lies in; None if it was taken out of it.

    A run's folder holds the whole configuration; a folder with a config.yaml of something else is nobody's run.
    """
    folder = checkpoint.resolve().parent
    try:
        content = yaml.safe_load((folder.parent / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    is_run = isinstance(content, dict) and set(content) == set(RunConfig.model_fields)
    return folder.parent if is_run and folder.name == CHECKPOINTS else None


def _number(path: Path) -> int:
    """N of version_N; -1 for anything else."""
    name, _, number = path.name.partition("_")
    return int(number) if name == "version" and number.isdecimal() else -1


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"logging.directory: {path} cannot be written ({error}); choose another folder")
