"""The goal: the mean return of the newest games, and fresh games that bear it out."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from rl_speed.config import StopConfig
from rl_speed.learner.module import DQNModule
from rl_speed.system.errors import UserError
from rl_speed.training.callbacks.episodes import EpisodeCounter
from rl_speed.training.checkpoint.writing import CheckpointWriter
from rl_speed.training.confirmation import Confirmation
from rl_speed.training.ranks.group import Ranks


class StopAtGoal(Callback):
    """Ends the run once the goal is reached and confirmed; the same batch on every rank.

    A mean near the goal crosses it by luck sooner or later. So the run is saved and fresh games are played; where their
    mean is below the goal, training goes on, and the next confirmation waits for as many new training games. That
    happens `stop.confirm_attempts` times.

    Args:
        config: the goal and its confirmation.
        counter: has counted the games of this batch.
        checkpoints: saves before the games, which take a while.
        confirmation: plays them, on rank 0.
        ranks: that end together.
    """

    def __init__(
        self,
        config: StopConfig,
        counter: EpisodeCounter,
        checkpoints: CheckpointWriter,
        confirmation: Confirmation,
        ranks: Ranks,
    ) -> None:
        self._config, self._counter = config, counter
        self._checkpoints, self._confirmation, self._ranks = checkpoints, confirmation, ranks
        self._next_episode = 0  # of the run, from which on a confirmation may be tried
        self.reason: str | None = None
        self.confirmed: dict[str, Any] | None = None  # the games that bore the goal out
        self.failed: list[dict[str, Any]] = []  # those that did not, with env_steps and seconds

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A resumed run has tries left."""
        if len(self.failed) >= self._config.confirm_attempts:
            raise UserError(
                f"stop.confirm_attempts = {self._config.confirm_attempts} confirmations of this run were below its "
                f"goal; raise it to train on"
            )

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Looks only at finished games, on the host; these are the same on all ranks."""
        statistics = self._counter.statistics
        has_reached = statistics.has_reached_goal and statistics.episodes >= self._next_episode
        if not self._counter.newest or not has_reached:
            return
        assert isinstance(pl_module, DQNModule)
        self.reason = self._judge(trainer, pl_module) if self._config.confirm_episodes else "solved"
        trainer.should_stop = trainer.should_stop or self.reason is not None

    def _judge(self, trainer: pl.Trainer, module: DQNModule) -> str | None:
        """Why the run ends now, if it does."""
        self._checkpoints.save(trainer)
        is_first = self._ranks.is_first
        games = self._confirmation.play(module.acting_network, len(self.failed)) if is_first else None
        games = self._ranks.from_first(games)
        goal, attempts = self._config.reward, self._config.confirm_attempts
        if games is None:  # a limit or a signal: who looks for those comes next
            return None
        assert goal is not None
        if games["mean"] >= goal:
            self.confirmed = games
            return "solved"
        self.failed.append({**games, **self._counter.place()})
        self._checkpoints.forget_newest()  # it does not know of these games
        self._next_episode = self._counter.statistics.episodes + self._config.confirm_episodes
        is_last = len(self.failed) >= attempts
        self._confirmation.notify(
            f"confirmation {len(self.failed)} of at most {attempts}: {games['mean']:.2f} over {games['episodes']} "
            f"games, below {goal:g}; {'the run ends' if is_last else 'training goes on'}"
        )
        return "not_confirmed" if is_last else None

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""
        return {"failed": [dict(games) for games in self.failed], "next_episode": self._next_episode}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.failed, self._next_episode = state["failed"], state["next_episode"]
