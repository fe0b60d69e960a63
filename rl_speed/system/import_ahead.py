"""Processes that begin with their imports done: forked from a helper that has made them."""

from __future__ import annotations

import multiprocessing
import os
import sys
from contextlib import suppress
from multiprocessing.context import BaseContext
from pathlib import Path

from rl_speed.system.group_signals import held_signals

_has_helper = False


def import_ahead(module: str) -> None:
    """Starts a helper process that imports a module of this package while this one goes on with its own imports.

    It is multiprocessing's fork server, of which a process has one: so this is for a program of its own, not for a
    library in somebody else's. The helper ends with this process. Where it cannot be had nothing happens: on macOS and
    Windows a process that has imported torch cannot be forked, and its socket needs a place in the temporary folder.
    """
    global _has_helper
    if not sys.platform.startswith("linux"):
        return
    from multiprocessing import forkserver

    multiprocessing.set_forkserver_preload([module])
    with suppress(OSError):
        here = os.getcwd()
        # It looks for the module in its working directory first, and there may be another rl_speed in this one. What is
        # forked from it goes back to where this process was started.
        os.chdir(Path(__file__).parents[2])
        try:
            with held_signals():  # a Ctrl-C in the terminal is not for the helper, nor yet for what it forks
                forkserver.ensure_running()
        finally:
            os.chdir(here)
        _has_helper = True


def fresh_context() -> BaseContext:
    """How to start a process that has nothing of this one: forked from the helper if there is one, else spawned."""
    return multiprocessing.get_context("forkserver" if _has_helper else "spawn")
