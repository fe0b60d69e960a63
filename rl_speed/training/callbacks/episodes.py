"""Finished games: counted, drawn as curves, printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.records import EpisodeEnd
from rl_speed.training.callbacks.exchange import Exchange
from rl_speed.training.logger import run_logger
from rl_speed.training.statistics import EpisodeStatistics


class EpisodeCounter(Callback):
    """Takes the games that were exchanged: into the statistics, and into the curves over episodes.

    Args:
        statistics: counts them.
        dataset: counts env steps.
        exchange: has the finished games and the run's wall time.
    """

    def __init__(self, statistics: EpisodeStatistics, dataset: ExperienceDataset, exchange: Exchange) -> None:
        self._dataset, self._exchange = dataset, exchange
        self.statistics = statistics
        self.newest: list[EpisodeEnd] = []

    def place(self) -> dict[str, float]:
        """Where the run stands: env_steps and seconds."""
        return {"env_steps": self._dataset.env_steps, "seconds": round(self._exchange.seconds, 3)}

    @property
    def state_key(self) -> str:
        """Its name in checkpoints."""
        return "EpisodeStatistics"

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Counts and draws."""
        self.newest = self._exchange.episode_ends
        logger = run_logger(trainer)
        for end in self.newest:
            average = self.statistics.count(end, trainer.global_step, self._exchange.seconds)
            if logger is not None:
                points = {
                    "reward": end.episode_return,
                    "avg_reward": average,
                    "steps": float(end.episode_length_env_steps),
                }
                logger.write(points, self.statistics.episodes)

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""
        return self.statistics.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.statistics.load_state_dict(state)


class EpisodePrinter(Callback):
    """One line per finished game."""

    def __init__(self, counter: EpisodeCounter, print_line: Callable[[str], None]) -> None:
        self._counter, self._print_line = counter, print_line

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Prints the newest games."""
        newest = self._counter.newest
        first = self._counter.statistics.episodes - len(newest) + 1
        for number, end in enumerate(newest, first):
            self._print_line(
                f"episode {number}: reward {end.episode_return:g}, {end.episode_length_env_steps} env steps, "
                f"env {end.env}, at {end.env_steps} env steps"
            )


class GamesRestarted(Callback):
    """Has the means of a resumed run begin anew, where its games were started anew."""

    def __init__(self, exchange: Exchange, counter: EpisodeCounter) -> None:
        self._exchange, self._counter = exchange, counter

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After the statistics were restored; games that ended before are counted first."""
        self._exchange.exchange()
        self._counter.on_train_batch_end(trainer)
        self._counter.statistics.restart_games()
