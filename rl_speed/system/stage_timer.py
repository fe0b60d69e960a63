"""Where the time goes: seconds per stage of the line, in the learner's process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STAGES = ("act", "env", "wait", "replay", "transfer", "update", "reduce")


class StageTimer:
    """Adds up the wall time spent in each stage; what is not measured is `other`.

    `wait` is waiting for actor processes; their own acting and stepping is added up apart, in `actor_seconds`, as the
    mean over the actors. `reduce` is the sum of the gradients of several ranks, and their waiting for each other. A
    stage that is measured inside another one is not charged to that one.

    On a GPU, work that was only launched is charged to the stage that waits for it, unless `synchronise` is set.
    """

    def __init__(self) -> None:
        # Called at the end of each stage: the bench waits for the GPU there, to charge each stage with its own work.
        self.synchronise: Callable[[], None] | None = None
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.actor_seconds = {"act": 0.0, "env": 0.0}
        self._inner_seconds = 0.0  # of stages inside the one that is measured now

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Charges the time of the block to `stage`."""
        outer, self._inner_seconds = self._inner_seconds, 0.0
        start = time.perf_counter()
        try:
            yield
        finally:
            if self.synchronise is not None:
                self.synchronise()
            seconds = time.perf_counter() - start
            self.seconds[stage] += seconds - self._inner_seconds
            self._inner_seconds = outer + seconds

    def shares(self, since: dict[str, float], elapsed_seconds: float) -> dict[str, float]:
        """Shares of the time that passed since an earlier copy of `seconds`, 0..1, `other` included."""
        if elapsed_seconds <= 0:
            return {}
        shares = {stage: (self.seconds[stage] - since[stage]) / elapsed_seconds for stage in STAGES}
        return {**shares, "other": max(0.0, 1.0 - sum(shares.values()))}
