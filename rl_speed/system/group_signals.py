"""Signals that reach a whole group of processes, such as Ctrl-C in a terminal: the first process decides for all."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

GROUP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_CAN_HOLD = hasattr(signal, "pthread_sigmask")  # not on Windows


@contextmanager
def held_signals() -> Iterator[None]:
    """A process that is started in the block gets these signals once it has called `answer_signals`, not before.

    Else one that comes while it still imports would end it. Here they come after the block.
    """
    if not _CAN_HOLD:
        yield
        return
    resource_tracker.ensure_running()  # multiprocessing's helper: to start it lets these signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def answer_signals(handler: Callable[[int, Any], None] | None) -> None:
    """In a process that was started with `held_signals`: what these signals do from now on.

    Args:
        handler: called with them; None: they do nothing. What `nohup` has a program ignore stays ignored.
    """
    for number in GROUP_SIGNALS:
        is_ignored = signal.getsignal(number) is signal.SIG_IGN
        signal.signal(number, signal.SIG_IGN if handler is None or is_ignored else handler)
    if _CAN_HOLD:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
