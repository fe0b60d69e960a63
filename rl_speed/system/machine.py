"""What this machine has: cores, memory, accelerator, compiler, versions."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

PACKAGES = ("rl-speed", "torch", "pytorch-lightning", "torchmetrics", "gymnasium", "ale-py", "numpy")
SHARED_MEMORY = Path("/dev/shm")  # on Linux; in a container 64 MB by default


def usable_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        return os.cpu_count() or 1


def shared_memory_free_bytes() -> int | None:
    """Bytes still free for memory that processes share; None where the system keeps it in no folder of its own."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None


def has_cuda() -> bool:
    """Whether a CUDA device works, not only whether one is listed."""
    if not torch.cuda.is_available():
        return False
    try:
        return float(torch.ones(1, device="cuda").sum()) == 1.0
    except RuntimeError:
        return False


def has_cpp_compiler() -> bool:
    """Whether torch.compile finds what it needs for CPU code."""
    chosen = os.environ.get("CXX")
    return any(shutil.which(name) for name in ([chosen] if chosen else ["g++", "clang++", "c++"]))


def versions() -> dict[str, str]:
    """Python's version and those of the packages that matter to a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def processor_name() -> str:
    """The processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """What a result has to say about where it was measured."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }
