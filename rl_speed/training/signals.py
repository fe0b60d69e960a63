"""Ctrl-C, SIGTERM and the end of the terminal (SIGHUP): the run ends at the next batch, and is saved."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

SECOND_WISH_SECONDS = 1.0


def ending_signals() -> list[signal.Signals]:
    """The signals that end a run, on this system. `nohup` has a program ignore SIGHUP, and that stays so."""
    hang_up = getattr(signal, "SIGHUP", None)
    wanted = [signal.SIGINT, signal.SIGTERM]
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        wanted.append(hang_up)
    return wanted


def interrupt() -> None:
    """For `first_signal`: ends what is done just then as Ctrl-C does in Python."""
    raise KeyboardInterrupt


@contextmanager
def first_signal(
    on_first: Callable[[], None], numbers: Sequence[signal.Signals] | None = None
) -> Iterator[dict[str, int]]:
    """Ctrl-C, SIGTERM and SIGHUP call `on_first` once; a second one after a second ends the program at once.

    Args:
        on_first: called in the main thread, wherever it is just then; may raise.
        numbers: other signals than these.

    Yields:
        a dictionary that holds `signal` once one was received.
    """
    received: dict[str, int] = {}
    first = 0.0

    def handle(number: int, frame: Any) -> None:
        nonlocal first
        now = time.monotonic()
        if received:
            # make and timeout pass a signal on to the whole group: the second copy of one is no second wish.
            if now - first > SECOND_WISH_SECONDS:
                os._exit(128 + number)  # processes that were started end by themselves when this one is gone
            return
        first = now
        received["signal"] = number
        on_first()

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, handle) for number in numbers or ending_signals()}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupt_waits(ranks: int, stop: threading.Event) -> Iterator[None]:
    """Lets Ctrl-C wait for the ranks to end together and save, where Python would raise KeyboardInterrupt at once.

    A rank that leaves in the middle of a batch leaves the others without it. Handlers of the caller's stay as they are.

    Args:
        ranks: W; with one, nothing is changed.
        stop: set by Ctrl-C.

    Raises:
        KeyboardInterrupt: at the end of the block, if there was a Ctrl-C.
    """
    is_pythons = threading.current_thread() is threading.main_thread() and (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ranks == 1 or not is_pythons:
        yield
        return
    with first_signal(stop.set, [signal.SIGINT]) as received:
        yield
    if "signal" in received:
        raise KeyboardInterrupt


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[dict[str, int]]:
    """Lets Ctrl-C, SIGTERM and SIGHUP end the run at the next batch; a later second one ends the program at once.

    Yields:
        a dictionary that holds `signal` once one was received.
    """

    def ask() -> None:
        stop.set()
        # Not through the console: the signal may have come in the middle of one of its writes.
        with suppress(OSError):  # the terminal may be gone
            os.write(2, b"\nstopping; once more to leave at once\n")

    with first_signal(ask) as received:
        yield received
