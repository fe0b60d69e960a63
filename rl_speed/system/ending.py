"""When a run has to end before its goal: it was asked to, or its time is over."""

from __future__ import annotations

import threading
import time


class Ending:
    """Looked at wherever a run may wait.

    Args:
        stop: set from outside (a signal, another thread) when the run should end; by default one of its own.
        max_seconds: wall time from now on; None: no limit.
    """

    def __init__(self, stop: threading.Event | None = None, max_seconds: float | None = None) -> None:
        self.stop = stop or threading.Event()
        self._deadline = None if max_seconds is None else time.monotonic() + max_seconds

    @property
    def reason(self) -> str | None:
        """Why the run has to end now, as result.json says it; None if it may go on."""
        if self.stop.is_set():
            return "interrupted"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return "max_seconds"
        return None


class Stopwatch:
    """Wall time of a run, earlier parts of a resumed run included."""

    def __init__(self, earlier_seconds: float = 0.0) -> None:
        self._start = time.monotonic() - earlier_seconds

    def elapsed_seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._start
