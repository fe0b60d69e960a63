"""What happens around a batch: schedules, target sync, statistics, speed, and the ends of a run.

Callbacks run in the order of `train.build`: whoever takes the finished games comes before whoever judges them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Any

import psutil
import pytorch_lightning as pl
from pytorch_lightning import Callback
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.wrappers import Running

from rl_speed.config import RunConfig, StopConfig
from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.experience.policy import EpsilonGreedyPolicy, epsilon_at
from rl_speed.learner.module import DQNModule
from rl_speed.records import Batch, EpisodeEnd
from rl_speed.system.stage_timer import StageTimer
from rl_speed.training.logger import RunLogger

# The three criteria in use for Pong, so that runs can be compared with others' (docs/metrics.md).
EMA_DECAY = 0.98
RECENT_EPISODES = 20  # in the mean that decides about the step size
CLOCK_NAMES = ("mean100_18", "ema_17", "mean100_19_5")


class Annealing(Callback):
    """Leads the step size, the replay ratio and epsilon from their first to their final values.

    By gradient steps, or by returns: then the mean of the last 20 games decides, and nothing is ever led back. A
    schedule in gradient steps has to guess when a run will be good; seeds differ by a factor of two there. Near the
    goal smaller steps keep the policy from swinging, and fewer of them leave more time for the games that show it.

    Everything is set before each batch: the optimizer of a resumed run comes back with the step size of its checkpoint.
    """

    def __init__(self, config: RunConfig, dataset: ExperienceDataset, statistics: EpisodeStatistics) -> None:
        self._config, self._dataset, self._statistics = config.update, dataset, statistics
        self._share = 0.0  # of the way from the first to the final values

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Sets what holds for the coming gradient steps."""
        config = self._config
        assert isinstance(pl_module, DQNModule)
        if config.anneal_gradient_steps:
            self._share = min(trainer.global_step / config.anneal_gradient_steps, 1.0)
        elif config.anneal_returns is not None and self._statistics.episodes >= RECENT_EPISODES:
            low, high = config.anneal_returns
            reached = (self._statistics.recent_average - low) / (high - low)
            self._share = max(self._share, min(reached, 1.0))
        pl_module.set_learning_rate(self.between(config.learning_rate, config.final_learning_rate))
        self._dataset.env_steps_per_gradient_step = self.between(
            config.env_steps_per_gradient_step, config.final_env_steps_per_gradient_step
        )

    def between(self, first: float, final: float | None) -> float:
        """The value that holds now on the way from `first` to `final`; None: it stays."""
        return first if final is None else first + (final - first) * self._share

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""
        return {"share": self._share}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._share = state["share"]


class EpsilonDecay(Callback):
    """Sets the policy's epsilon from the env steps taken, and leads it on with the annealing.

    Args:
        config: the schedule.
        dataset: its generator counts env steps.
        policy: acts with epsilon.
        annealing: how far the run is on its way to the goal.
    """

    def __init__(
        self, config: RunConfig, dataset: ExperienceDataset, policy: EpsilonGreedyPolicy, annealing: Annealing
    ) -> None:
        self._config, self._dataset, self._policy, self._annealing = config, dataset, policy, annealing

    def on_train_start(self, *_: Any) -> None:
        """A resumed run explores from its first env step on as its env steps say."""
        self.on_train_batch_end()

    def on_train_batch_end(self, *_: Any) -> None:
        """Follows the schedule."""
        prefill = self._config.replay.prefill_env_steps
        epsilon = epsilon_at(self._dataset.generator.env_steps, prefill, self._config.exploration)
        self._policy.epsilon = self._annealing.between(epsilon, self._config.exploration.annealed_epsilon)


class InputStandardisation(Callback):
    """Measures the mean image once the replay is prefilled, and gives it to both networks."""

    def __init__(self, dataset: ExperienceDataset) -> None:
        self._dataset = dataset

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Before the first gradient step of the run; a resumed run has the image in its checkpoint."""
        if trainer.global_step > 0:
            return
        assert isinstance(pl_module, DQNModule)
        mean, deviation = self._dataset.replay.mean_frame()
        pl_module.online_network.standardise_input(mean, deviation)
        pl_module.target_network.standardise_input(mean, deviation)


class TargetSync(Callback):
    """Syncs the target network: hard every so many gradient steps, or softly after each batch."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config.update
        self._last_gradient_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A resumed run counts on."""
        self._last_gradient_step = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Syncs if it is time: a multiple was reached or passed."""
        assert isinstance(pl_module, DQNModule)
        every, last = self._config.target_sync_gradient_steps, self._last_gradient_step
        self._last_gradient_step = trainer.global_step
        if self._config.target_sync_rate is not None:
            pl_module.sync_target(self._config.target_sync_rate)
        elif trainer.global_step // every > last // every:
            pl_module.sync_target(None)


class PriorityUpdate(Callback):
    """Gives the errors of a batch back to the replay as priorities."""

    def __init__(self, dataset: ExperienceDataset, clock: StageTimer) -> None:
        self._dataset, self._clock = dataset, clock

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """After every batch."""
        with self._clock.measure("replay"):
            self._dataset.replay.update_priorities(batch.index.to(self._dataset.replay.device), outputs["td_error"])


class EpisodeStatistics(Callback):
    """Takes the finished games: running means, the three clocks, and the curves over episodes.

    Args:
        config: window and stop reward.
        total_envs: E; the mean counts only after each env has finished a game (short, lost games end first).
        dataset: holds the finished games.
        elapsed_seconds: wall time of the run, earlier parts of a resumed run included.
    """

    def __init__(
        self,
        config: StopConfig,
        total_envs: int,
        dataset: ExperienceDataset,
        elapsed_seconds: Callable[[], float],
    ) -> None:
        self._config, self._total_envs, self._dataset = config, total_envs, dataset
        self._elapsed_seconds = elapsed_seconds
        self._window = Running(MeanMetric(), window=config.window_episodes)
        self._recent: list[float] = []  # returns in the window, oldest first: what resumes
        self.average_return: float | None = None  # mean raw return of the games in the window
        self._finished_envs: set[int] = set()
        self.episodes = 0
        self.ema: float | None = None
        self.clocks: dict[str, dict[str, float] | None] = dict.fromkeys(CLOCK_NAMES)
        self.newest: list[EpisodeEnd] = []

    @property
    def is_window_full(self) -> bool:
        """Whether enough games have ended for the mean to count."""
        return len(self._recent) >= self._config.window_episodes and len(self._finished_envs) >= self._total_envs

    @property
    def recent_average(self) -> float:
        """Mean raw return of the last 20 games (fewer at first)."""
        recent = self._recent[-RECENT_EPISODES:]
        return sum(recent) / max(len(recent), 1)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Takes the games that ended since the last batch."""
        self.newest = self._dataset.take_episode_ends()
        logger = run_logger(trainer)
        for end in self.newest:
            average = self.count(end, trainer.global_step)
            if logger is not None:
                points = {
                    "reward": end.episode_return,
                    "avg_reward": average,
                    "steps": float(end.episode_length_env_steps),
                }
                logger.write(points, self.episodes)

    def count(self, end: EpisodeEnd, gradient_steps: int) -> float:
        """Adds one finished game to the means and looks at the clocks; returns the mean of the window."""
        self.episodes += 1
        self._finished_envs.add(end.env)
        self._window.update(end.episode_return)
        self._recent = [*self._recent, end.episode_return][-self._config.window_episodes :]
        self.ema = (
            end.episode_return if self.ema is None else EMA_DECAY * self.ema + (1 - EMA_DECAY) * end.episode_return
        )
        average = self.average_return = float(self._window.compute())
        # Sums of whole numbers: a mean of 19.5 is exact in float64 but not in the metric's float32.
        mean = sum(self._recent) / len(self._recent)
        reached = {
            "mean100_18": self.is_window_full and mean >= 18.0,
            "ema_17": self.ema >= 17.0,
            "mean100_19_5": self.is_window_full and mean >= 19.5,
        }
        for name, is_reached in reached.items():
            if is_reached and self.clocks[name] is None:
                self.clocks[name] = {
                    "seconds": round(self._elapsed_seconds(), 3),
                    "env_steps": end.env_steps,
                    "gradient_steps": gradient_steps,
                }
        return average

    @property
    def is_solved(self) -> bool:
        """Whether the mean of a full window has reached the stop reward."""
        return self.is_window_full and sum(self._recent) / len(self._recent) >= self._config.reward

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""
        return {
            "recent": list(self._recent),
            "finished_envs": sorted(self._finished_envs),
            "episodes": self.episodes,
            "ema": self.ema,
            "clocks": {name: dict(clock) if clock else None for name, clock in self.clocks.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._recent = list(state["recent"])
        for value in self._recent:
            self._window.update(value)
        self.average_return = float(self._window.compute()) if self._recent else None
        self._finished_envs = set(state["finished_envs"])
        self.episodes, self.ema = state["episodes"], state["ema"]
        self.clocks = state["clocks"]


class EpisodePrinter(Callback):
    """One line per finished game."""

    def __init__(self, statistics: EpisodeStatistics, print_line: Callable[[str], None]) -> None:
        self._statistics, self._print_line = statistics, print_line

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Prints the newest games."""
        first = self._statistics.episodes - len(self._statistics.newest) + 1
        for number, end in enumerate(self._statistics.newest, first):
            self._print_line(
                f"episode {number}: reward {end.episode_return:g}, {end.episode_length_env_steps} env steps, "
                f"env {end.env}, at {end.env_steps} env steps"
            )


class StopAtReward(Callback):
    """Ends the run once the mean return of a full window reaches the goal; the same batch on every rank."""

    def __init__(self, statistics: EpisodeStatistics) -> None:
        self._statistics = statistics
        self.is_solved = False

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Looks only at finished games, on the host."""
        if self._statistics.newest or trainer.world_size > 1:
            is_solved = self._statistics.is_solved
            self.is_solved = trainer.strategy.reduce_boolean_decision(is_solved, all=True)
            trainer.should_stop = trainer.should_stop or self.is_solved


class StopAtLimits(Callback):
    """Ends the run at a limit of env steps, gradient steps or wall time, or when it was asked to stop."""

    def __init__(self, config: StopConfig, dataset: ExperienceDataset, stop: Event, deadline: float | None) -> None:
        self._config, self._dataset, self._stop, self._deadline = config, dataset, stop, deadline
        self.reason: str | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Checks the limits after every batch."""
        config = self._config
        env_steps = self._dataset.generator.env_steps
        if self._stop.is_set():
            self.reason = "interrupted"
        elif config.max_env_steps is not None and env_steps >= config.max_env_steps:
            self.reason = "max_env_steps"
        elif config.max_gradient_steps is not None and trainer.global_step >= config.max_gradient_steps:
            self.reason = "max_gradient_steps"
        elif self._deadline is not None and time.monotonic() >= self._deadline:
            self.reason = "max_seconds"
        if trainer.strategy.reduce_boolean_decision(self.reason is not None, all=False):
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The dataset has ended: a signal or the deadline came while it waited for experience."""
        if self._stop.is_set():
            self.reason = "interrupted"
        elif self._deadline is not None and time.monotonic() >= self._deadline:
            self.reason = "max_seconds"
        trainer.should_stop = trainer.should_stop or self.reason is not None


class FpsLogger(Callback):
    """Speed over a sliding window, loss and epsilon, and where the time goes; the prefill is counted apart.

    Args:
        dataset: its generator counts env steps.
        policy: holds epsilon.
        clock: seconds per stage.
        every_seconds: wall time between points; a window is one such span.
    """

    def __init__(
        self, dataset: ExperienceDataset, policy: EpsilonGreedyPolicy, clock: StageTimer, every_seconds: float
    ) -> None:
        self._dataset, self._policy, self._clock = dataset, policy, clock
        self._every_seconds = every_seconds
        self._average_loss = Running(MeanMetric(), window=100)
        self._started = self._prefilled = self._window_start = 0.0
        self._env_steps_started = self._env_steps_prefilled = self._window_env_steps = 0
        self._gradient_steps_prefilled = self._window_gradient_steps = 0
        self._seconds_prefilled: dict[str, float] = dict(clock.seconds)
        self._actor_seconds_prefilled: dict[str, float] = dict(clock.actor_seconds)
        self._window_seconds: dict[str, float] = dict(clock.seconds)
        self.env_steps_per_second = 0.0
        self._end = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The prefill begins."""
        self._started = time.perf_counter()
        self._env_steps_started = self._dataset.generator.env_steps
        psutil.cpu_percent()  # the first call only sets the mark

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Before the first batch: the prefill has ended."""
        if self._prefilled == 0.0:
            self._prefilled = self._window_start = time.perf_counter()
            self._env_steps_prefilled = self._window_env_steps = self._dataset.generator.env_steps
            self._gradient_steps_prefilled = self._window_gradient_steps = trainer.global_step
            self._seconds_prefilled = dict(self._clock.seconds)
            self._actor_seconds_prefilled = dict(self._clock.actor_seconds)
            self._window_seconds = dict(self._clock.seconds)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Writes a point when the window is over. Only then is the loss read from the device."""
        now = self._end = time.perf_counter()
        span = now - self._window_start
        if span < self._every_seconds:
            return
        env_steps = self._dataset.generator.env_steps
        self.env_steps_per_second = (env_steps - self._window_env_steps) / span
        gradient_steps_per_second = (trainer.global_step - self._window_gradient_steps) / span
        loss: Tensor = outputs["loss"]
        self._average_loss.update(loss.float().mean().cpu())
        logger = run_logger(trainer)
        if logger is not None:
            shares = self._clock.shares(self._window_seconds, span)
            points = {
                "loss": float(loss[-1]),
                "avg_loss": float(self._average_loss.compute()),
                "epsilon": self._policy.epsilon,
                "avg_fps": self.env_steps_per_second,
                "gradient_steps_per_second": gradient_steps_per_second,
                "cpu_percent": psutil.cpu_percent(),
                **{f"time_share/{stage}": share for stage, share in shares.items()},
            }
            logger.write(points, env_steps)
        self._window_start, self._window_env_steps = now, env_steps
        self._window_gradient_steps = trainer.global_step
        self._window_seconds = dict(self._clock.seconds)

    def prefill_env_steps_per_second(self) -> float | None:
        """Speed of the prefill, the start of actor processes included; None if it has not ended or is not of this
        part of a resumed run."""
        env_steps = self._env_steps_prefilled - self._env_steps_started
        seconds = self._prefilled - self._started
        was_whole = self._prefilled > 0.0 and self._env_steps_started == 0
        return env_steps / seconds if was_whole and seconds > 0 else None

    def steady_env_steps_per_second(self) -> float | None:
        """Speed from the end of the prefill to the last batch; None before the first batch ended."""
        seconds = self._end - self._prefilled
        if not self._prefilled or seconds <= 0:
            return None
        return (self._dataset.generator.env_steps - self._env_steps_prefilled) / seconds

    def steady_gradient_steps_per_second(self, gradient_steps: int) -> float | None:
        """Gradient steps per second over the same time."""
        seconds = self._end - self._prefilled
        if not self._prefilled or seconds <= 0:
            return None
        return (gradient_steps - self._gradient_steps_prefilled) / seconds

    def time_shares(self) -> dict[str, float]:
        """Shares of the learner's time from the end of the prefill to the last batch."""
        return self._clock.shares(self._seconds_prefilled, self._end - self._prefilled)

    def actor_time_shares(self) -> dict[str, float]:
        """Shares of the actors' time over the same span, as the mean over the actors; empty without actors."""
        seconds = self._end - self._prefilled
        spent = self._clock.actor_seconds
        if seconds <= 0 or not any(spent.values()):
            return {}
        return {stage: (value - self._actor_seconds_prefilled[stage]) / seconds for stage, value in spent.items()}


def run_logger(trainer: pl.Trainer) -> RunLogger | None:
    """The run's curves; None where nothing is logged."""
    return trainer.logger if isinstance(trainer.logger, RunLogger) else None
