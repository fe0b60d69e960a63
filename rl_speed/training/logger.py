"""TensorBoard, but a disk that is full costs the curves and not the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

EPISODE_TAGS = ("reward", "avg_reward", "steps")  # their x axis is the episode; the others' is env steps


class RunLogger(TensorBoardLogger):
    """Writes points against x axes of their own; goes silent with one sentence when writing fails.

    Args:
        folder: of the run.
        warn: prints a sentence for the user.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        super().__init__(str(folder.parent), name="", version=folder.name, default_hp_metric=False)
        self._warn = warn
        self._is_broken = False

    @rank_zero_only
    def write(self, points: Mapping[str, float], x: int) -> None:
        """Adds one point per tag.

        Args:
            points: value by tag.
            x: place on the tags' axis: episodes or env steps.
        """
        if self._is_broken:
            return
        try:
            for tag, value in points.items():
                self.experiment.add_scalar(tag, value, x)
        except OSError as error:
            self._break(error)

    def _break(self, error: OSError) -> None:
        if not self._is_broken:
            self._is_broken = True
            self._warn(f"the curves in {self.log_dir} cannot be written any more ({error}); the run goes on")

    def save(self) -> None:
        """Flushes what was written."""
        if self._is_broken:
            return
        try:
            super().save()
        except OSError as error:
            self._break(error)

    def finalize(self, status: str) -> None:
        """Closes the event file."""
        if self._is_broken:
            return
        try:
            super().finalize(status)
        except OSError as error:
            self._break(error)


def run_logger(trainer: pl.Trainer) -> RunLogger | None:
    """The run's curves; None where nothing is logged."""
    return trainer.logger if isinstance(trainer.logger, RunLogger) else None
