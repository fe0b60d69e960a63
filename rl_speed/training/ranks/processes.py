"""The ranks that a run starts itself, as processes of this machine.

The process that the user started is rank 0; nothing of the caller's script is run again (Lightning's own launcher
would start the script once for each rank), so this works from a notebook and from a program's function, too.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import wait
from typing import Any

import torch.multiprocessing as mp

from rl_speed.experience.generators.pipes import without_main
from rl_speed.system.errors import RankError
from rl_speed.system.output import make_streams_patient

FAREWELL_SECONDS = 20.0  # a rank may have to end actors and games
KILL_SECONDS = 3.0


class RankProcesses:
    """Starts ranks 1 to W - 1 of this machine.

    Args:
        targets: one per rank: what it does, pickled; called with the event that a signal sets.
    """

    def __init__(self, targets: list[Callable[[threading.Event], None]]) -> None:
        context = mp.get_context("spawn")
        self._processes: list[Any] = []
        try:
            for rank, target in enumerate(targets, 1):
                # No daemon: those may not start actors. They leave when this process is gone, see `_serve`.
                process = context.Process(target=_serve, args=(target,), name=f"rl_speed-rank-{rank}")
                with without_main():
                    process.start()
                self._processes.append(process)
        except BaseException:
            self.close()
            raise

    @property
    def process_ids(self) -> list[int]:
        """The system's numbers of the processes; empty once closed."""
        return [process.pid for process in self._processes]

    def check(self) -> None:
        """Raises RankError if a rank has ended before it was there."""
        for rank, process in enumerate(self._processes, 1):
            if process.exitcode is not None:
                raise RankError(f"rank {rank} {_how(process.exitcode)} before it began; what it wrote is above")

    def close(self) -> None:
        """Waits for the ranks to leave, then ends them; may be called twice."""
        deadline = time.monotonic() + FAREWELL_SECONDS
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
        for process in self._processes:
            if process.is_alive():
                process.terminate()
        for process in self._processes:
            process.join(KILL_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._processes = []


def _how(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit status {code}"


def _serve(target: Callable[[threading.Event], None]) -> None:
    """The life of a rank's process."""
    make_streams_patient()
    stop = threading.Event()

    def wish(number: int, frame: Any) -> None:
        stop.set()

    # Ctrl-C reaches every process of a terminal's group; a signal to this one alone is passed on to rank 0.
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is not signal.SIG_IGN or number != getattr(signal, "SIGHUP", None):
            signal.signal(number, wish)
    _leave_with_parent()
    target(stop)


def _leave_with_parent() -> None:
    """Ends this process, wherever it is just then, once its parent is gone; its actors notice that for themselves."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="rl_speed-parent", daemon=True).start()
