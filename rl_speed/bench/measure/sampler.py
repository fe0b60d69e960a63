"""CPU time, memory and GPU utilisation of measured processes, seen from outside."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np
import psutil

INTERVAL_SECONDS = 1.0
MEMORY_EVERY = 2  # samples: the kernel walks all pages for it


def memory_bytes(process: psutil.Process) -> int:
    """A process's share of the memory: pages that several processes map count in parts (Linux), else what it holds."""
    full: Any = process.memory_full_info()
    return int(getattr(full, "pss", 0) or full.rss)


class ProcessSampler(threading.Thread):
    """Watches a process and all that it starts, until `stop`.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self._times: list[float] = []
        self._cpu_seconds: list[float] = []
        # By process, with those that have ended: actors leave right after the window, their time stays spent.
        self._spent: dict[tuple[int, float], float] = {}
        self.peak_memory_bytes = 0

    def run(self) -> None:
        """Samples at intervals."""
        count = 0
        while not self._over.is_set():
            with suppress(psutil.Error):
                self._sample(count % MEMORY_EVERY == 0)
            count += 1
            self._over.wait(INTERVAL_SECONDS)
        with suppress(psutil.Error):  # a process that answers at once has spent its last second since
            self._sample(False)

    def _sample(self, with_memory: bool) -> None:
        root = psutil.Process(self._pid)
        memory = 0
        now = time.time()
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.Error):
                times = process.cpu_times()
                self._spent[process.pid, process.create_time()] = times.user + times.system
                if with_memory:
                    memory += memory_bytes(process)
        self._times.append(now)
        self._cpu_seconds.append(sum(self._spent.values()))
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory)

    def stop(self) -> None:
        """Ends the thread."""
        self._over.set()
        self.join()

    def cpu_percent(self, start: float, end: float, cores: int) -> float | None:
        """Share of all cores between two times, 0..100; None if less than half of that time was sampled."""
        if len(self._times) < 2 or end <= start:
            return None
        length = end - start
        start, end = max(start, self._times[0]), min(end, self._times[-1])
        if end - start < length / 2:
            return None
        first, last = np.interp([start, end], self._times, self._cpu_seconds)
        return float(min(100.0 * (last - first) / ((end - start) * cores), 100.0))


class GpuSampler:
    """Reads nvidia-smi's utilisation twice a second; silent where there is none."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._samples: list[tuple[float, float]] = []
        if shutil.which("nvidia-smi") is None:
            return
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "500"]
        with suppress(OSError):
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True
            )
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):
                self._samples.append((time.time(), float(line)))

    def percent(self, start: float, end: float) -> float | None:
        """Mean utilisation between two times, 0..100, over all GPUs; None without a sample."""
        inside = [percent for moment, percent in self._samples if start <= moment <= end]
        return float(np.mean(inside)) if inside else None

    def close(self) -> None:
        """Ends nvidia-smi."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
