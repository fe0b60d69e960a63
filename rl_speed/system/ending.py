"""When a run has to end before its goal, and how long it has taken: both count from the start of the program."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Ending:
    """Looked at wherever a run may wait.

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

    @property
    def reason(self) -> str | None:
        """Why the run has to end now, as result.json says it; None if it may go on."""
        if self.stop.is_set():
            return "interrupted"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return "max_seconds"
        return None


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
