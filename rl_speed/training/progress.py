"""What a person sees while a run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from rl_speed.config import StopConfig
from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.experience.policy import EpsilonGreedyPolicy
from rl_speed.training.result import clock_text
from rl_speed.training.speed import SpeedMeter
from rl_speed.training.statistics import EpisodeStatistics

LINE_SECONDS = 15.0  # between lines where the output is no terminal


class ProgressBar(Callback):
    """A live bar of avg_reward toward the goal in a terminal; a line now and then elsewhere.

    The bar begins at the average of the first game and ends at the stop reward.
    """

    def __init__(
        self,
        config: StopConfig,
        dataset: ExperienceDataset,
        policy: EpsilonGreedyPolicy,
        statistics: EpisodeStatistics,
        meter: SpeedMeter,
        elapsed_seconds: Callable[[], float],
        console: Console,
    ) -> None:
        self._config, self._dataset, self._policy = config, dataset, policy
        self._statistics, self._meter, self._elapsed_seconds = statistics, meter, elapsed_seconds
        self._console = console
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._lowest: float | None = None
        self._next_show = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Opens the bar."""
        if self._console.is_terminal and trainer.is_global_zero:
            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[text]}"),
                console=self._console, auto_refresh=False,
            )  # fmt: skip
            self._progress.start()
            self._task = self._progress.add_task("prefill", total=1.0, text="random games fill the replay ...")
            self._progress.refresh()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Shows the newest numbers, a few times a second at most."""
        now = time.monotonic()
        if now < self._next_show or not trainer.is_global_zero:
            return
        average, goal = self._statistics.average_return, self._config.reward
        if average is not None and self._lowest is None:
            self._lowest = min(average, goal)
        text = self._text(average)
        if self._progress is None:
            if self._next_show > 0.0:
                self._console.print(text, highlight=False, soft_wrap=True)
            self._next_show = now + LINE_SECONDS
            return
        span = goal - (self._lowest if self._lowest is not None else goal - 1.0)
        done = 0.0 if average is None else 1.0 - (goal - average) / span if span > 0 else 1.0
        self._progress.update(self._task, description="training", completed=min(max(done, 0.0), 1.0), text=text)
        self._progress.refresh()
        self._next_show = now + 0.25

    def _text(self, average: float | None) -> str:
        shown = "-" if average is None else f"{average:.2f}"
        games = min(self._statistics.episodes, self._config.window_episodes)
        return (
            f"avg_reward {shown} of {self._config.reward:g} ({games} games)  "
            f"{self._meter.env_steps_per_second:,.0f} fps  epsilon {self._policy.epsilon:.3f}  "
            f"{self._dataset.generator.env_steps:,} env steps  {clock_text(self._elapsed_seconds())}"
        )

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Closes the bar."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Closes the bar."""
        self._close()
