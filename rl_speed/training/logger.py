"""The curves of a run, whatever draws them: a tracker that fails costs the curves and not the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

EPISODE_TAGS = ("reward", "avg_reward", "steps")  # their x axis is the episode; the others' is env steps
EPISODE, ENV_STEPS = "episode", "env_steps"  # names of the two axes


class RunLogger(Logger):
    """What every tracker has beside what Lightning asks of a logger; it comes before Lightning's own as a base.

    A tracker says in `_note` and `_write` how it does it; what goes wrong there is told once, and then it is silent.

    Attributes:
        failures: what may go wrong; anything else is a mistake of this program.
    """

    failures: tuple[type[Exception], ...] = (OSError,)
    _notify: Callable[[str], None]
    _is_broken = False

    @property
    def place(self) -> str:
        """Where the curves are, for people."""
        raise NotImplementedError

    def _note(self, settings: Mapping[str, Any]) -> None:
        """Keeps what the run was asked for, where the tracker has a place for it."""

    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        """Adds one point per tag."""
        raise NotImplementedError

    @rank_zero_only
    def note(self, settings: Mapping[str, Any]) -> None:
        """Keeps what the run was asked for, if the tracker has a place for it.

        Args:
            settings: the configuration, section by section.
        """
        self._attempt(lambda: self._note(settings))

    @rank_zero_only
    def write(self, points: Mapping[str, float], x: int) -> None:
        """Adds one point per tag.

        Args:
            points: value by tag, all of one axis.
            x: place on the tags' axis: episodes or env steps.
        """
        axis = EPISODE if next(iter(points), None) in EPISODE_TAGS else ENV_STEPS
        self._attempt(lambda: self._write(points, axis, x))

    def save(self) -> None:
        """Flushes what was written."""
        self._attempt(super().save)

    def finalize(self, status: str = "success") -> None:
        """Ends the curves; `status` is Lightning's."""
        self._attempt(lambda: self._end(status))

    def _end(self, status: str) -> None:
        super().finalize(status)

    def _attempt(self, action: Callable[[], None]) -> None:
        if self._is_broken:
            return
        try:
            action()
        except self.failures as error:
            self._is_broken = True
            self._notify(broken(self.place, error))


def broken(place: str, error: Exception) -> str:
    """The sentence for the user when curves cannot be written."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"the curves in {place} cannot be written any more ({reason}); the run goes on"


class TensorBoardTracker(RunLogger, TensorBoardLogger):
    """Event files in the run's folder.

    Args:
        folder: of the run.
        notify: prints a sentence for the user.
    """

    def __init__(self, folder: Path, notify: Callable[[str], None]) -> None:
        super().__init__(str(folder.parent), name="", version=folder.name, default_hp_metric=False)
        self._notify = notify

    @property
    def place(self) -> str:
        """The run's folder."""
        return self.log_dir

    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        for tag, value in points.items():
            self.experiment.add_scalar(tag, value, x)


def run_logger(trainer: pl.Trainer) -> RunLogger | None:
    """The run's curves; None where nothing is logged."""
    return trainer.logger if isinstance(trainer.logger, RunLogger) else None
