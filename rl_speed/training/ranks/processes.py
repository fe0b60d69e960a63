"""The ranks that a run starts itself, as processes of this machine.

The process that the user started is rank 0; nothing of the caller's script is run again (Lightning's own launcher
would start the script once for each rank), so this works from a notebook and from a program's function, too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import wait
from typing import Any

import torch.multiprocessing as mp

from rl_speed.experience.generators.pipes import without_main
from rl_speed.system.errors import RankError
from rl_speed.system.group_signals import answer_signals, held_signals
from rl_speed.system.output import make_streams_patient

FAREWELL_SECONDS = 20.0  # a rank may have to end actors and games


class RankProcesses:
    """Starts ranks 1 to W - 1 of this machine.

    Args:
        targets: one per rank: what it does, pickled; called with the event that a signal sets.
    """

    def __init__(self, targets: list[Callable[[threading.Event], None]]) -> None:
        context = mp.get_context("spawn")
        self.have_begun = False  # set by the caller: before, nothing is lost with them
        self._processes: list[Any] = []
        try:
            for rank, target in enumerate(targets, 1):
                # No daemon: those may not start actors. They leave when this process is gone, see `_serve`.
                process = context.Process(target=_serve, args=(target,), name=f"rl_speed-rank-{rank}")
                with held_signals(), without_main():
                    process.start()
                self._processes.append(process)
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Raises RankError if a rank has ended before it was there."""
        for rank, process in enumerate(self._processes, 1):
            if process.exitcode is not None:
                raise RankError(f"rank {rank} {_how(process.exitcode)} before it began; what it wrote is above")

    def close(self) -> None:
        """Waits for the ranks to leave, then ends them; may be called twice."""
        deadline = time.monotonic() + (FAREWELL_SECONDS if self.have_begun else 0.0)
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
        for process in self._processes:
            if process.is_alive():
                process.kill()
        for process in self._processes:
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

    answer_signals(wish)  # passed on to rank 0, for a signal may be for this process alone
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
