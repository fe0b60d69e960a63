"""What is led from a first to a final value while a run goes on."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from rl_speed.config import RunConfig
from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.experience.policy import ExploringPolicy, epsilon_at
from rl_speed.learner.module import DQNModule
from rl_speed.training.statistics import EpisodeStatistics


class Annealing(Callback):
    """Leads step size, replay ratio, n-step return, discount and importance weights to their final values.

    By gradient steps, or by returns: then the mean of the last 20 games decides. A schedule in gradient steps has to
    guess when a run will be good; seeds differ by a factor of two there. Near the goal smaller steps keep the policy
    from swinging, and fewer of them leave more time for the games that show it. Where returns are lower than they were,
    it goes back, but slowly: twenty lucky games must not end learning for good.

    Everything is set when the run starts, since the optimizer of a resumed one comes back with the step size of its
    checkpoint, and before each batch: the step size holds for its own gradient steps, the others from the next draw on.
    Epsilon and temperature follow in `EpsilonDecay`.

    Args:
        config: first and final values, and what leads; of this rank.
        dataset: its replay ratio and what its replay draws are set.
        statistics: of the finished games.
    """

    def __init__(self, config: RunConfig, dataset: ExperienceDataset, statistics: EpisodeStatistics) -> None:
        self._config, self._dataset, self._statistics = config, dataset, statistics
        self._share = 0.0  # of the way from the first to the final values
        self._episodes: int | None = None  # finished, when it was last set

    @property
    def share(self) -> float:
        """Of the way from the first to the final values, 0..1."""
        return self._share

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A resumed run goes on where it was."""
        self._set(pl_module)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Looks how far the run is."""
        final = self._config.annealing
        if final.gradient_steps:
            self._share = min(trainer.global_step / final.gradient_steps, 1.0)
        elif final.returns is not None and (recent := self._statistics.recent_average) is not None:
            low, high = final.returns
            self._follow(min(max((recent - low) / (high - low), 0.0), 1.0))
        self._set(pl_module)

    def _follow(self, reached: float) -> None:
        """Goes to what the returns say: forward at once, back game by game."""
        episodes, patience = self._statistics.episodes, self._config.annealing.fall_back_episodes
        if reached >= self._share:
            self._share = reached
        elif patience is not None and self._episodes is not None:
            self._share = reached + (self._share - reached) * math.exp((self._episodes - episodes) / patience)
        self._episodes = episodes

    def _set(self, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, DQNModule)
        final, update, replay = self._config.annealing, self._config.update, self._config.replay
        pl_module.set_learning_rate(self.between(update.learning_rate, final.learning_rate))
        self._dataset.env_steps_per_gradient_step = self.between(
            update.env_steps_per_gradient_step, final.env_steps_per_gradient_step
        )
        n_step, gamma = self.between(replay.n_step, final.n_step), self.between(replay.gamma, final.gamma)
        importance = self.between(replay.importance_exponent, final.importance_exponent)
        self._dataset.replay.lead(round(n_step), gamma, importance)

    def between(self, first: float, final: float | None) -> float:
        """The value that holds now on the way from `first` to `final`; None: it stays."""
        return first if final is None else first + (final - first) * self._share

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""
        return {"share": self._share, "episodes": self._episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._share = state["share"]
        self._episodes = state.get("episodes")  # not in an older checkpoint


class EpsilonDecay(Callback):
    """Sets the policy's epsilon from the env steps taken, and leads it and the temperature on with the annealing.

    Args:
        config: the schedule, of the whole run.
        dataset: counts env steps.
        policy: acts with both.
        annealing: how far the run is on its way to the goal.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: ExperienceDataset,
        policy: ExploringPolicy,
        annealing: Annealing,
    ) -> None:
        self._config, self._dataset, self._policy, self._annealing = config, dataset, policy, annealing

    def on_train_start(self, *_: Any) -> None:
        """A resumed run explores from its first env step on as its env steps say."""
        self.on_train_batch_end()

    def on_train_batch_end(self, *_: Any) -> None:
        """Follows the schedule."""
        prefill, exploration = self._config.replay.prefill_env_steps, self._config.exploration
        epsilon = epsilon_at(self._dataset.env_steps, prefill, exploration)
        final = self._config.annealing
        self._policy.epsilon = self._annealing.between(epsilon, final.epsilon)
        self._policy.temperature = self._annealing.between(exploration.temperature, final.temperature)
