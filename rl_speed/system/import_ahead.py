"""Processes that need no second for their imports: forked from a helper that has imported what they need."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.context import BaseContext

from rl_speed.system.group_signals import held_signals

_has_helper = False


def import_ahead(module: str) -> None:
    """Starts a helper process that imports a module while this one goes on with its own imports.

    It is multiprocessing's fork server, of which a process has one: so this is for a program of its own, not for a
    library in somebody else's. The helper ends with this process. Nothing happens where a process that has imported
    torch cannot be forked (macOS, Windows).
    """
    global _has_helper
    if not sys.platform.startswith("linux"):
        return
    from multiprocessing import forkserver

    multiprocessing.set_forkserver_preload([module])
    with held_signals():  # a Ctrl-C in the terminal is not for the helper, nor yet for what it forks
        forkserver.ensure_running()
    _has_helper = True


def fresh_context() -> BaseContext:
    """How to start a process that has nothing of this one: forked from the helper if there is one, else spawned."""
    return multiprocessing.get_context("forkserver" if _has_helper else "spawn")
