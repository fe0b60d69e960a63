"""What finished games say of a run: running means, the three criteria, and whether the goal is reached."""

from __future__ import annotations

from collections import deque
from typing import Any

from rl_speed.config import StopConfig
from rl_speed.records import EpisodeEnd

# The three criteria in use for Pong, so that runs can be compared with others' (docs/metrics.md).
EMA_DECAY = 0.98
RECENT_EPISODES = 20  # in the mean that leads the schedules
CRITERIA = ("mean100_18", "ema_17", "mean100_19_5")


class EpisodeStatistics:
    """Counts finished games.

    Args:
        config: window and stop reward.
        total_envs: E; the mean counts only after each env has finished a game (short, lost games end first).
    """

    def __init__(self, config: StopConfig, total_envs: int) -> None:
        self._config, self._total_envs = config, total_envs
        self._window: deque[float] = deque(maxlen=config.window_episodes)  # returns, oldest first
        self._finished_envs: set[int] = set()
        self.episodes = 0
        self.ema: float | None = None
        # When each criterion was first met: seconds, env steps and gradient steps.
        self.clocks: dict[str, dict[str, float] | None] = dict.fromkeys(CRITERIA)

    @property
    def average_return(self) -> float | None:
        """Mean raw return of the games in the window; None before the first one."""
        # Sums of whole numbers: a mean of 19.5 is exact in float64.
        return sum(self._window) / len(self._window) if self._window else None

    @property
    def recent_average(self) -> float:
        """Mean raw return of the last 20 games (fewer at first)."""
        recent = list(self._window)[-RECENT_EPISODES:]
        return sum(recent) / max(len(recent), 1)

    @property
    def is_window_full(self) -> bool:
        """Whether enough games have ended for the mean to count."""
        return len(self._window) >= self._config.window_episodes and len(self._finished_envs) >= self._total_envs

    @property
    def is_solved(self) -> bool:
        """Whether the mean of a full window has reached the stop reward."""
        average = self.average_return
        return self.is_window_full and average is not None and average >= self._config.reward

    def count(self, end: EpisodeEnd, gradient_steps: int, seconds: float) -> float:
        """Adds one finished game.

        Args:
            end: the game.
            gradient_steps: of the run when it was counted.
            seconds: wall time of the run then.

        Returns:
            the mean of the window.
        """
        self.episodes += 1
        self._finished_envs.add(end.env)
        self._window.append(end.episode_return)
        self.ema = (
            end.episode_return if self.ema is None else EMA_DECAY * self.ema + (1 - EMA_DECAY) * end.episode_return
        )
        average = self.average_return
        assert average is not None
        reached = {
            "mean100_18": self.is_window_full and average >= 18.0,
            "ema_17": self.ema >= 17.0,
            "mean100_19_5": self.is_window_full and average >= 19.5,
        }
        for name, is_reached in reached.items():
            if is_reached and self.clocks[name] is None:
                self.clocks[name] = {
                    "seconds": round(seconds, 3),
                    "env_steps": end.env_steps,
                    "gradient_steps": gradient_steps,
                }
        return average

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""
        return {
            "recent": list(self._window),
            "finished_envs": sorted(self._finished_envs),
            "episodes": self.episodes,
            "ema": self.ema,
            "clocks": {name: dict(clock) if clock else None for name, clock in self.clocks.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._window = deque(state["recent"], maxlen=self._config.window_episodes)
        self._finished_envs = set(state["finished_envs"])
        self.episodes, self.ema = state["episodes"], state["ema"]
        self.clocks = state["clocks"]
