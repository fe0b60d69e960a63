"""How fast a run is and where its time goes; the prefill is counted apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rl_speed.system.stage_timer import StageTimer


@dataclass(frozen=True)
class Mark:
    """Where a run stood at a moment."""

    moment: float = 0.0  # in seconds
    env_steps: int = 0
    gradient_steps: int = 0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    actor_seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class WindowSpeed:
    """Speeds over one window."""

    env_steps_per_second: float
    gradient_steps_per_second: float
    shares: dict[str, float]  # of the learner's time, by stage


class SpeedMeter:
    """Speeds between marks: the start, the end of the prefill, the last window and now.

    Args:
        timer: seconds per stage.
        every_seconds: length of a window.
        now: clock in seconds; what is off the run's clock has no speed.
    """

    def __init__(self, timer: StageTimer, every_seconds: float, now: Callable[[], float] = time.perf_counter) -> None:
        self._timer, self._every_seconds, self._now = timer, every_seconds, now
        self._started: Mark | None = None
        self._prefilled: Mark | None = None
        self._window: Mark | None = None
        self._newest: Mark | None = None
        self.env_steps_per_second = 0.0  # over the last window

    def _mark(self, env_steps: int, gradient_steps: int) -> Mark:
        return Mark(self._now(), env_steps, gradient_steps, dict(self._timer.seconds), dict(self._timer.actor_seconds))

    def start(self, env_steps: int, gradient_steps: int) -> None:
        """The prefill begins."""
        self._started = self._mark(env_steps, gradient_steps)

    def begin_batch(self, env_steps: int, gradient_steps: int) -> bool:
        """Before a batch; whether it is the first one, which ends the prefill."""
        is_first = self._prefilled is None
        if is_first:
            self._prefilled = self._window = self._mark(env_steps, gradient_steps)
        return is_first

    def end_batch(self, env_steps: int, gradient_steps: int) -> WindowSpeed | None:
        """After a batch; gives the speeds where that ended a window."""
        newest, window = self._mark(env_steps, gradient_steps), self._window
        self._newest = newest
        assert window is not None, "end_batch without begin_batch"
        seconds = newest.moment - window.moment
        if seconds < self._every_seconds:
            return None
        self._window = newest
        self.env_steps_per_second = (env_steps - window.env_steps) / seconds
        return WindowSpeed(
            self.env_steps_per_second,
            (gradient_steps - window.gradient_steps) / seconds,
            self._timer.shares(window.stage_seconds, seconds),
        )

    def prefill_env_steps_per_second(self) -> float | None:
        """Speed of the prefill, the start of actor processes included; None if it has not ended or is not of this
        part of a resumed run."""
        if self._started is None or self._prefilled is None or self._started.env_steps:
            return None
        seconds = self._prefilled.moment - self._started.moment
        return self._prefilled.env_steps / seconds if seconds > 0 else None

    def _steady(self) -> tuple[Mark, Mark, float] | None:
        """From the end of the prefill to the last batch, and the seconds between; None before the first batch ended."""
        if self._prefilled is None or self._newest is None or self._newest.moment <= self._prefilled.moment:
            return None
        return self._prefilled, self._newest, self._newest.moment - self._prefilled.moment

    def steady_env_steps_per_second(self) -> float | None:
        """Speed of all that is not prefill."""
        span = self._steady()
        return None if span is None else (span[1].env_steps - span[0].env_steps) / span[2]

    def steady_gradient_steps_per_second(self) -> float | None:
        """Gradient steps per second over the same time."""
        span = self._steady()
        return None if span is None else (span[1].gradient_steps - span[0].gradient_steps) / span[2]

    def time_shares(self) -> dict[str, float]:
        """Shares of the learner's time over the same time."""
        span = self._steady()
        return {} if span is None else self._timer.shares(span[0].stage_seconds, span[2])

    def actor_time_shares(self) -> dict[str, float]:
        """Shares of the actors' time over the same time, as the mean over the actors; empty without actors."""
        span = self._steady()
        if span is None or not any(self._timer.actor_seconds.values()):
            return {}
        first, last, seconds = span
        return {
            stage: (last.actor_seconds[stage] - first.actor_seconds[stage]) / seconds for stage in last.actor_seconds
        }
