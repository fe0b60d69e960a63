"""A process that belongs to another one: ended with all that it started, and gone when its parent is."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil


def kill_group(pid: int) -> None:
    """Ends all processes of the group that a process leads, or led: also those whose parent is gone already."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_tree(pid: int) -> None:
    """Ends a process and all that it started."""
    kill_group(pid)
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [*root.children(recursive=True), root]:
            with suppress(psutil.Error):
                process.kill()


def watch_parent(read: Callable[[], Any], leave: Callable[[], None]) -> threading.Thread:
    """Leaves once `read` returns: the pipe from the parent has ended, so the parent is gone."""

    def wait() -> None:
        read()
        leave()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread
