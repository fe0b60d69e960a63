"""How long a learner bears the silence of its actors."""

from __future__ import annotations

import time
from collections.abc import Callable

# Between two looks at its actors a learner that trains or sleeps passes no more than this for waiting.
MAX_UNOBSERVED_SECONDS = 1.0


class Patience:
    """How long actors that owe an answer have been silent, by time in which this process really waited for them.

    A process that was stopped (SIGSTOP, a debugger) or busy does not hold that time against its actors.

    Args:
        limit_seconds: silence that is borne.
        now: a monotonic clock in seconds.
    """

    def __init__(self, limit_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.limit_seconds = limit_seconds
        self._now = now
        self.restart()

    def restart(self) -> None:
        """An actor has answered, or the first one has got an order."""
        self._silent_seconds, self._counted_until = 0.0, self._now()

    def is_exhausted(self, timeout_seconds: float) -> bool:
        """Counts the time since the last call, which ended with a wait of up to `timeout_seconds` for nothing."""
        now = self._now()
        self._silent_seconds += min(now - self._counted_until, timeout_seconds + MAX_UNOBSERVED_SECONDS)
        self._counted_until = now
        return self._silent_seconds > self.limit_seconds
