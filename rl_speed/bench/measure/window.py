"""When a rung is measured: start-up and warm-up apart, then a window of steady training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from rl_speed.experience.replay import Replay
from rl_speed.records import Rollout
from rl_speed.system.stage_timer import StageTimer

SHARES_SECONDS = 5.0  # on a GPU, how long the stages are timed one by one


def fill(replay: Replay) -> None:
    """Repeats what is stored until the ring is full: memory and its traffic are then those of a long run."""
    ring = {name: tensor for name, tensor in replay.state_dict()["ring"].items() if name != "priority"}
    ring["is_first"] = ring["is_first"].clone()
    ring["is_first"][0] = True  # copies do not continue each other
    stored = Rollout(**ring, episode_ends=(), env_steps=0)
    while replay.rows_written < replay.steps:
        replay.append(stored)


@dataclass
class Counts:
    """Where a run stands."""

    seconds: float
    env_steps: int
    gradient_steps: int
    stage_seconds: dict[str, float] = field(default_factory=dict)
    actor_seconds: dict[str, float] = field(default_factory=dict)


class MeasureWindow(Callback):
    """Opens the window some seconds after the first batch, closes it at the first batch's end after its length.

    On a GPU the stages run behind the clock's back; they are timed in a second window, in which each stage waits for
    the device. The speed is that of the first one.

    Args:
        env_steps: env steps of the run so far.
        replay: filled up before the first batch.
        timer: seconds per stage.
        warmup_seconds: after the first batch has ended.
        seconds: length of the window.
        announce: called with the name of each phase.
        stop: ends the run, called after the window.
        synchronise: waits for the device; None on a CPU.
        created: moment of `time.time` at which the start-up began; None: now.
    """

    def __init__(
        self,
        env_steps: Callable[[], int],
        replay: Replay,
        timer: StageTimer,
        warmup_seconds: float,
        seconds: float,
        announce: Callable[[str], None],
        stop: Callable[[], None],
        synchronise: Callable[[], None] | None = None,
        created: float | None = None,
    ) -> None:
        self._env_steps, self._replay, self._timer = env_steps, replay, timer
        self._warmup_seconds, self._seconds = warmup_seconds, seconds
        self._announce, self._stop, self._synchronise = announce, stop, synchronise
        self._created = time.time() if created is None else created
        self._started = self._filled = self._warm_from = 0.0
        self._first: Counts | None = None
        self._last: Counts | None = None
        self._shares_first: Counts | None = None
        self._shares_last: Counts | None = None
        self._prefill: dict[str, float] = {}

    def _now(self, gradient_steps: int) -> Counts:
        if self._synchronise is not None:
            self._synchronise()
        return Counts(
            time.time(),
            self._env_steps(),
            gradient_steps,
            dict(self._timer.seconds),
            dict(self._timer.actor_seconds),
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The prefill begins."""
        self._started = time.time()
        self._announce("prefill")

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Before the first batch: the prefill has ended, the ring is filled."""
        if self._prefill:
            return
        seconds, env_steps = time.time() - self._started, self._env_steps()
        self._prefill = {"seconds": seconds, "env_steps": env_steps, "speed": env_steps / max(seconds, 1e-9)}
        fill(self._replay)
        self._filled = time.time()
        self._announce("warm-up")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Opens and closes the windows."""
        now = time.time()
        if not self._warm_from:
            self._warm_from = now  # the first batch compiles and allocates
        if self._first is None:
            if now - self._warm_from >= self._warmup_seconds:
                self._first = self._now(trainer.global_step)
                self._announce("measure")
        elif self._last is None:
            if now - self._first.seconds >= self._seconds:
                self._last = self._now(trainer.global_step)
                if self._synchronise is None:
                    self._stop()
                self._timer.synchronise = self._synchronise
                self._shares_first = self._last
        elif (
            self._shares_last is None
            and self._shares_first is not None
            and now - self._shares_first.seconds >= SHARES_SECONDS
        ):
            self._shares_last = self._now(trainer.global_step)
            self._stop()

    def result(self) -> dict[str, Any]:
        """What was measured; raises RuntimeError if the window was not closed."""
        if self._first is None or self._last is None:
            raise RuntimeError("the run ended before the measured window did")
        first, last = self._first, self._last
        seconds = last.seconds - first.seconds
        shares_first, shares_last = (
            (first, last)
            if self._shares_last is None or self._shares_first is None
            else (self._shares_first, self._shares_last)
        )
        span = shares_last.seconds - shares_first.seconds
        shares = {k: (v - shares_first.stage_seconds[k]) / span for k, v in shares_last.stage_seconds.items()}
        actors = {k: (v - first.actor_seconds[k]) / seconds for k, v in last.actor_seconds.items()}
        return {
            "window": [first.seconds, last.seconds],
            "seconds": seconds,
            "env_steps": last.env_steps - first.env_steps,
            "gradient_steps": last.gradient_steps - first.gradient_steps,
            "startup_seconds": self._started - self._created,
            "prefill": self._prefill,
            "warmup_seconds": first.seconds - self._filled,
            "time_shares": {**shares, "other": max(0.0, 1.0 - sum(shares.values()))},
            "actor_time_shares": actors if any(actors.values()) else {},
        }
