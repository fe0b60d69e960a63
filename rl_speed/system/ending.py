"""When a run has to end before its goal, and how long it has taken: both count from the start of the program."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Ending:
    """Looked at wherever a run may wait.

    Processes that learn together end at the same batch. From `hold` on a wish of one of them waits until all have
    heard of it.

    Args:
        stop: set from outside (a signal, another thread) when the run should end; by default one of its own.
        max_seconds: wall time from `started` on; None: no limit.
        started: moment of `time.monotonic`; None: now.
    """

    def __init__(
        self, stop: threading.Event | None = None, max_seconds: float | None = None, started: float | None = None
    ) -> None:
        self.stop = stop or threading.Event()
        started = time.monotonic() if started is None else started
        self._deadline = None if max_seconds is None else started + max_seconds
        self._is_held = False
        self.agreed: str | None = None  # what all ranks have heard of
        self.is_rank_lost = False  # a process that this one learns together with is gone

    @property
    def seconds_left(self) -> float | None:
        """Wall time until the limit; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def wish(self) -> str | None:
        """Why this process would like to end, as result.json says it; None if it may go on."""
        if self.stop.is_set():
            return "interrupted"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return "max_seconds"
        return None

    @property
    def reason(self) -> str | None:
        """Why the run has to end now; None if it may go on."""
        if self.is_rank_lost:
            return "rank_lost"
        return self.agreed or (None if self._is_held else self.wish)

    def hold(self) -> None:
        """From now on a wish counts once it is agreed."""
        self._is_held = True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """In the block this process's own wish counts: the others wait for what it does."""
        was_held, self._is_held = self._is_held, False
        try:
            yield
        finally:
            self._is_held = was_held


class Stopwatch:
    """Wall time of a run, earlier parts of a resumed run included.

    Args:
        earlier_seconds: of the earlier parts.
        started: moment of `time.monotonic` at which this part began; None: now.
    """

    def __init__(self, earlier_seconds: float = 0.0, started: float | None = None) -> None:
        self._start = (time.monotonic() if started is None else started) - earlier_seconds
        self._stopped_at: float | None = None

    def elapsed_seconds(self) -> float:
        """Seconds since the run began, without those off the clock."""
        return (time.monotonic() if self._stopped_at is None else self._stopped_at) - self._start

    @contextmanager
    def off_the_clock(self) -> Iterator[None]:
        """What is done inside takes no time of the run."""
        self._stopped_at = time.monotonic()
        try:
            yield
        finally:
            self._start += time.monotonic() - self._stopped_at
            self._stopped_at = None
