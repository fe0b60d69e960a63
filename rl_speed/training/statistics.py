"""What finished games say of a run: running means, the three criteria, and whether the goal is reached."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

from rl_speed.config import StopConfig
from rl_speed.records import EpisodeEnd
from rl_speed.training.return_curve import ReturnCurve

# The three criteria in use for Pong, so that runs can be compared with others' (docs/metrics.md).
EMA_DECAY = 0.98
EMA_EPISODES = 50  # 1 / (1 - decay): before, the first few games decide
CRITERION_EPISODES = 100  # whatever the window of the goal is
RECENT_EPISODES = 20  # in the mean that leads the schedules
CRITERIA = ("mean100_18", "ema_17", "mean100_19_5")


class EpisodeStatistics:
    """Counts finished games.

    Short games end first, and say little of the others. So a mean counts only after each env has finished a game, and
    the goal's is over at least as many games as there are envs.

    Args:
        config: window and stop reward.
        total_envs: E.
    """

    def __init__(self, config: StopConfig, total_envs: int) -> None:
        self._config, self._total_envs = config, total_envs
        self.window_episodes = max(config.window_episodes, total_envs)
        self._window: deque[float] = deque(maxlen=self.window_episodes)  # returns, oldest first
        self._hundred: deque[float] = deque(maxlen=CRITERION_EPISODES)  # likewise, for the criteria
        self._finished_envs: set[int] = set()
        self.episodes = 0
        self.ema: float | None = None
        self._ema_episodes = 0
        # When each criterion was first met: seconds, env steps and gradient steps.
        self.clocks: dict[str, dict[str, float] | None] = dict.fromkeys(CRITERIA)
        self.curve = ReturnCurve()

    @property
    def average_return(self) -> float | None:
        """Mean raw return of the games in the window; None before the first one."""
        return _mean(self._window)

    @property
    def games_in_window(self) -> int:
        """Games in `average_return`."""
        return len(self._window)

    @property
    def recent_average(self) -> float | None:
        """Mean raw return of the last 20 games; None before there are as many."""
        recent = list(self._hundred)[-RECENT_EPISODES:]
        return _mean(recent) if len(recent) == RECENT_EPISODES else None

    @property
    def has_every_env_finished(self) -> bool:
        """Whether each env has finished a game since the games were started."""
        return len(self._finished_envs) >= self._total_envs

    @property
    def has_reached_goal(self) -> bool:
        """Whether the mean of a full window has reached the stop reward."""
        average, goal = self.average_return, self._config.reward
        if average is None or goal is None or len(self._window) < self.window_episodes:
            return False
        return self.has_every_env_finished and average >= goal

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
        self._ema_episodes += 1
        self._window.append(end.episode_return)
        self._hundred.append(end.episode_return)
        self.ema = (
            end.episode_return if self.ema is None else EMA_DECAY * self.ema + (1 - EMA_DECAY) * end.episode_return
        )
        now = {"seconds": round(seconds, 3), "env_steps": end.env_steps, "gradient_steps": gradient_steps}
        for name in self._met_criteria():
            if self.clocks[name] is None:
                self.clocks[name] = dict(now)
        average = self.average_return
        assert average is not None
        self.curve.add(now["seconds"], end.env_steps, average)
        return average

    def _met_criteria(self) -> list[str]:
        if not self.has_every_env_finished:
            return []
        mean = _mean(self._hundred) if len(self._hundred) == CRITERION_EPISODES else None
        met = {
            "mean100_18": mean is not None and mean >= 18.0,
            "ema_17": self._ema_episodes >= EMA_EPISODES and self.ema is not None and self.ema >= 17.0,
            "mean100_19_5": mean is not None and mean >= 19.5,
        }
        return [name for name, is_met in met.items() if is_met]

    def restart_games(self) -> None:
        """Notes that all games were started anew: the short ones will end first again, so the means begin anew."""
        self.ema, self._ema_episodes = None, 0
        self._finished_envs.clear()
        self._window.clear()
        self._hundred.clear()

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""
        return {
            "recent": list(self._window),
            "hundred": list(self._hundred),
            "finished_envs": sorted(self._finished_envs),
            "episodes": self.episodes,
            "ema": self.ema,
            "ema_episodes": self._ema_episodes,
            "clocks": {name: dict(clock) if clock else None for name, clock in self.clocks.items()},
            "curve": self.curve.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._window = deque(state["recent"], maxlen=self.window_episodes)
        self._hundred = deque(state.get("hundred", state["recent"]), maxlen=CRITERION_EPISODES)
        self._finished_envs = set(state["finished_envs"])
        self.episodes, self.ema = state["episodes"], state["ema"]
        self._ema_episodes = state.get("ema_episodes", self.episodes)
        self.clocks = state["clocks"]
        if "curve" in state:
            self.curve.load_state_dict(state["curve"])


def _mean(values: Collection[float]) -> float | None:
    # Sums of whole numbers: a mean of 19.5 is exact in float64.
    return sum(values) / len(values) if values else None
