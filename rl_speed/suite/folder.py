"""A suite's folder: what lies where, and one suite at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from rl_speed.system.errors import UserError
from rl_speed.system.folder_lock import lock_folder

PLAN_FILE = "suite.json"
SCORE_FILE = "score.json"
FAILURE_FILE = "failure.json"
EPISODES_FILE = "episodes.csv"
LOG_FILE = "run.log"
END_FILE = "end"  # asks a run on another machine to save itself and end


@dataclass(frozen=True, order=True)
class RunKey:
    """One run of a suite.

    Attributes:
        seed: of the run; the first field, so that runs in order cover all games before the next seed begins.
        game: that it plays.
        preset: the preset's label.
    """

    seed: int
    game: str
    preset: str

    def folder(self, out: Path) -> Path:
        """The run's folder below that of the suite."""
        return out / self.preset / self.game / f"seed_{self.seed}"

    def __str__(self) -> str:
        return f"{self.preset}, {self.game}, seed {self.seed}"


@contextmanager
def locked(folder: Path, patience_seconds: float = 0.0) -> Iterator[None]:
    """Keeps other processes out; the system lets go of the folder when this process ends.

    Args:
        folder: that is there.
        patience_seconds: how long another process is waited for.

    Raises:
        UserError: another process has it.
    """
    try:
        lock = lock_folder(folder, patience_seconds)
    except Timeout:
        raise UserError(
            f"{folder} is in use by another `rl-speed suite`; wait for it or stop it, or give another --out"
        ) from None
    except OSError as error:
        raise UserError(f"--out {folder} cannot be written ({error}); choose another folder") from None
    try:
        yield
    finally:
        lock.release()
