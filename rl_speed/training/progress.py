"""What a person sees while a run, or the games that judge one, go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from rl_speed.config import StopConfig
from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.training.evaluation import OnStep
from rl_speed.training.result import clock_text
from rl_speed.training.speed import SpeedMeter
from rl_speed.training.statistics import EpisodeStatistics

LINE_SECONDS = 15.0  # between lines where the output is no terminal
REFRESH_SECONDS = 0.25
BAR_COLUMNS = 24


class Bar:
    """A live bar with text beside it in a terminal; a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._next_show = 0.0

    def open(self, what: str, text: str) -> None:
        """Begins to be shown."""
        # Not the console's own answer: FORCE_COLOR makes a terminal of every file.
        is_terminal = self._console.file.isatty() and self._console.is_terminal
        self._next_show = time.monotonic() + (REFRESH_SECONDS if is_terminal else LINE_SECONDS)
        if is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=BAR_COLUMNS), TextColumn("{task.fields[text]}"),
                console=self._console, auto_refresh=False,
            )  # fmt: skip
            self._progress.start()
            self._task = self._progress.add_task(what, total=1.0, text=text)
            self._progress.refresh()

    @property
    def is_due(self) -> bool:
        """Whether there should be something new to see: a few times a second at most."""
        return time.monotonic() >= self._next_show

    def show(self, what: str, share: float | None, parts: list[str]) -> None:
        """Shows where things stand.

        Args:
            what: goes on.
            share: of it that is done, 0..1; None: nobody knows.
            parts: of the text, the most important first; those that fit are shown beside the bar.
        """
        if self._progress is None:
            self._console.print("  ".join([what, *parts]), highlight=False, soft_wrap=True)
            self._next_show = time.monotonic() + LINE_SECONDS
            return
        room = self._console.width - len(what) - BAR_COLUMNS - 2
        text = parts[0]
        for part in parts[1:]:
            if len(text) + 2 + len(part) > room:
                break
            text += f"  {part}"
        self._progress.update(
            self._task, description=what, total=None if share is None else 1.0, completed=share or 0.0, text=text
        )
        self._progress.refresh()
        self._next_show = time.monotonic() + REFRESH_SECONDS

    def show_games(self, what: str, games: int, of: int, env_steps: int) -> None:
        """Shows how far games are that judge a network: those that have ended, and env steps of each env."""
        if self.is_due:
            self.show(what, games / of, [f"{games} of {of} games", f"{env_steps:,} env steps each"])

    def close(self) -> None:
        """Leaves the last text standing."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


@contextmanager
def games_bar(console: Console, what: str, episodes: int) -> Iterator[OnStep]:
    """Shows how far games are; gives what `play_games` has to tell about each step."""
    bar = Bar(console)
    bar.open(what, f"0 of {episodes} games")
    try:
        yield lambda games, env_steps: bar.show_games(what, games, episodes, env_steps)
    finally:
        bar.close()


@contextmanager
def film_bar(console: Console) -> Iterator[Callable[[float, int], None]]:
    """Shows how far a filmed game is; gives what `record_video` has to tell about each step."""
    bar = Bar(console)
    bar.open("filming", "")

    def show(episode_return: float, env_steps: int) -> None:
        if bar.is_due:
            bar.show("filming", None, [f"score {episode_return:g}", f"{env_steps:,} env steps"])

    try:
        yield show
    finally:
        bar.close()


class ProgressBar(Callback):
    """Shows avg_reward on its way to the goal: from the average of the first game to the stop reward."""

    def __init__(
        self,
        config: StopConfig,
        dataset: ExperienceDataset,
        policy: ExploringPolicy,
        statistics: EpisodeStatistics,
        meter: SpeedMeter,
        elapsed_seconds: Callable[[], float],
        console: Console,
    ) -> None:
        self._config, self._dataset, self._policy = config, dataset, policy
        self._statistics, self._meter, self._elapsed_seconds = statistics, meter, elapsed_seconds
        self._bar = Bar(console)
        self._lowest: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Opens the bar."""
        if trainer.is_global_zero:
            self._bar.open("prefill", "random games fill the replay ...")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Shows the newest numbers."""
        if not self._bar.is_due or not trainer.is_global_zero:
            return
        average = self._statistics.average_return
        if average is not None and self._lowest is None:
            self._lowest = average
        self._bar.show("training", self._share_of_way(average), self._parts(average))

    def on_games(self, games: int, env_steps: int) -> None:
        """Shows how far a confirmation is."""
        self._bar.show_games("confirming", games, self._config.confirm_episodes, env_steps)

    def _share_of_way(self, average: float | None) -> float | None:
        """0..1; None without a goal."""
        goal = self._config.reward
        if goal is None:
            return None
        if average is None or self._lowest is None:
            return 0.0
        span = goal - min(self._lowest, goal)
        return min(max(1.0 - (goal - average) / span, 0.0), 1.0) if span > 0 else 1.0

    def _parts(self, average: float | None) -> list[str]:
        """What there is to say, the most important first."""
        shown = "-" if average is None else f"{average:.2f}"
        goal = "" if self._config.reward is None else f" of {self._config.reward:g}"
        return [
            f"avg_reward {shown}{goal}",
            clock_text(self._elapsed_seconds()),
            f"{self._statistics.games_in_window} games",
            f"{self._meter.env_steps_per_second:,.0f} fps",
            f"epsilon {self._policy.epsilon:.3f}",
            f"{self._dataset.env_steps:,} env steps",
        ]

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Closes the bar."""
        self._bar.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Closes the bar."""
        self._bar.close()
