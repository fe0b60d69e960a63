"""The curves of a run, whatever draws them: a tracker that fails costs the curves and not the run."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

EPISODE_TAGS = ("reward", "avg_reward", "steps")  # their x axis is the episode; the others' is env steps
EPISODE, ENV_STEPS = "episode", "env_steps"  # names of the two axes
_USERINFO = re.compile(r"://[^/\s]*@")


class RunLogger(Logger):
    """What every tracker has beside what Lightning asks of a logger; it comes before Lightning's own as a base.

    A tracker says in `_note`, `_write` and `_end` how it does it; what goes wrong there is told once, and then it is
    silent. What Lightning or a callback of the user's asks of the logger goes the same way.

    Attributes:
        failures: what may go wrong; anything else is a mistake of this program.
        ends_late: its end may wait for a server, so that it waits for `end`, when the run has written its result.
    """

    failures: tuple[type[Exception], ...] = (OSError,)
    ends_late = False
    _notify: Callable[[str], None]
    _is_broken = False
    _status: str | None = None
    _has_ended = False

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the curves are, for people."""

    def _note(self, settings: Mapping[str, Any]) -> None:
        """Keeps what the run was asked for, where the tracker has a place for it."""

    @abstractmethod
    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        """Adds one point per tag."""

    def _log(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Adds what a callback of the user's logs; its axis is Lightning's step."""
        super().log_metrics(dict(metrics), step)  # type: ignore[safe-super]

    def _log_settings(self, *params: Any, **more: Any) -> None:
        """Keeps settings as Lightning or a callback gives them."""
        super().log_hyperparams(*params, **more)  # type: ignore[safe-super]

    def _patience(self) -> AbstractContextManager[None]:
        """What holds while something is asked of the tracker."""
        return nullcontext()

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

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """See Lightning's Logger."""
        self._attempt(lambda: self._log(metrics, step))

    @rank_zero_only
    def log_hyperparams(self, *params: Any, **more: Any) -> None:
        """See Lightning's Logger."""
        self._attempt(lambda: self._log_settings(*params, **more))

    def save(self) -> None:
        """Flushes what was written."""
        self._attempt(self._flush)

    def _flush(self) -> None:
        super().save()

    def finalize(self, status: str = "success") -> None:
        """Lightning's word that the training is over, and how; the first one counts."""
        self._status = self._status or status
        if not self.ends_late:
            self.end()

    @rank_zero_only
    def end(self) -> None:
        """Ends the curves, once; as failed, if Lightning did not get as far as to say how the training ended."""
        if not self._has_ended:
            self._has_ended = True
            self._attempt(lambda: self._end(self._status or "failed"), unfinished)

    def _end(self, status: str) -> None:
        super().finalize(status)

    def _attempt(self, action: Callable[[], None], told: Callable[[str, Exception], str] | None = None) -> None:
        if self._is_broken:
            return
        try:
            with self._patience():
                action()
        except self.failures as error:
            self._is_broken = True
            self._notify((told or broken)(self.place, error))


def unfinished(place: str, error: Exception) -> str:
    """The sentence for the user when a tracker could not be ended as it should."""
    return f"the curves in {place} may lack their last points ({_reason(error)}); the run's own files are whole"


def broken(place: str, error: Exception) -> str:
    """The sentence for the user when curves cannot be written."""
    return f"the curves in {place} cannot be written any more ({_reason(error)}); the run goes on"


def _reason(error: Exception) -> str:
    return without_userinfo(" ".join(str(error).split())) or type(error).__name__


def without_userinfo(text: str) -> str:
    """A text without the names and keys in its addresses."""
    return _USERINFO.sub("://", text)


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
