"""One process at a time in a folder; the system lets go of it when that process ends, however it does."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock

LOCK_FILE = ".lock"


def lock_folder(folder: Path, patience_seconds: float = 0.0) -> FileLock:
    """Locks a folder; on a file system that knows no locks nobody is kept out.

    Args:
        folder: that is there.
        patience_seconds: how long another process is waited for.

    Returns:
        the lock, to be released; where there are none, its `is_locked` is False.

    Raises:
        filelock.Timeout: another process has it.
        OSError: it cannot be written.
    """
    lock = FileLock(str(folder / LOCK_FILE))
    with suppress(NotImplementedError):  # so filelock says that there are no locks: some network file systems
        lock.acquire(timeout=patience_seconds)
    return lock
