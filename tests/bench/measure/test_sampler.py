"""CPU time and memory of processes, seen from outside."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from rl_speed.bench.measure import sampler as sampler_module
from rl_speed.bench.measure.sampler import ProcessSampler
from tests.command_line import HANG_SECONDS


def test_cpu_percent_is_of_the_window():
    sampler = ProcessSampler(os.getpid())
    sampler._times, sampler._cpu_seconds = [0.0, 10.0, 20.0], [0.0, 0.0, 15.0]
    assert sampler.cpu_percent(10.0, 20.0, cores=2) == pytest.approx(75)
    assert sampler.cpu_percent(12.0, 16.0, cores=2) == pytest.approx(75)
    assert sampler.cpu_percent(0.0, 20.0, cores=2) == pytest.approx(37.5)
    assert sampler.cpu_percent(5.0, 5.0, cores=2) is None
    assert sampler.cpu_percent(10.0, 21.0, cores=2) == pytest.approx(75)  # of what was seen
    assert sampler.cpu_percent(15.0, 30.0, cores=2) is None


def test_the_sampler_sees_memory_and_time_of_children(monkeypatch):
    code = "x = bytearray(300_000_000)\nwhile True: pass"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"]
    )
    monkeypatch.setattr(sampler_module, "INTERVAL_SECONDS", 0.05)
    sampler = ProcessSampler(process.pid)
    sampler.start()
    try:
        deadline = time.time() + HANG_SECONDS
        while sampler.peak_memory_bytes < 250_000_000:
            assert time.time() < deadline
            time.sleep(0.05)
        spent = sampler._cpu_seconds[-1]
    finally:
        for child in psutil.Process(process.pid).children():
            child.kill()
        process.wait()
        time.sleep(0.2)
        sampler.stop()
    assert sampler.peak_memory_bytes > 250_000_000
    assert spent > 0
    # What ended processes spent stays counted.
    assert sampler._cpu_seconds[-1] >= spent
