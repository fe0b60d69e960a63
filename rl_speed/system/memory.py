"""Memory that this process may use: the machine's, or a container's share of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil

from rl_speed.system.cgroup import memory_limit

SHARED_MEMORY = Path("/dev/shm")


def total_memory_bytes(root: Path = Path("/")) -> int:
    """Main memory of the machine, or the container's limit if that is less, in bytes."""
    total, limit = int(psutil.virtual_memory().total), memory_limit(root)
    return total if limit is None else min(total, limit[0])


def free_memory_bytes(root: Path = Path("/")) -> int:
    """Main memory that can be had without swapping or being killed, in bytes."""
    free, limit = int(psutil.virtual_memory().available), memory_limit(root)
    return free if limit is None else min(free, max(0, limit[0] - limit[1]))


def shared_memory_free_bytes() -> int | None:
    """Room for memory that processes share, in bytes; None where the system has no such folder.

    Containers often get 64 MB; who writes more than there is, is killed by a bus error.
    """
    try:
        return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None
    except OSError:
        return None
