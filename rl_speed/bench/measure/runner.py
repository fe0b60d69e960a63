"""Runs one contestant in a process of its own and watches it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import rl_speed
from rl_speed.bench.contestants import Contestant
from rl_speed.bench.measure.sampler import GpuSampler, ProcessSampler
from rl_speed.config import RunConfig
from rl_speed.system.child_process import kill_tree
from rl_speed.system.cores import usable_cores

STARTUP_LIMIT_SECONDS = 300.0


def spec_of(contestant: Contestant, config: RunConfig | None, seconds: float, warmup_seconds: float) -> dict[str, Any]:
    """What the measured process has to know.

    Args:
        contestant: who is measured.
        config: as it was read once, see `contestants.measured_config`; None for a script.
        seconds, warmup_seconds: length of the window, and of what comes before.
    """
    return {
        "name": contestant.name,
        "kind": contestant.kind,
        "config": None if config is None else config.model_dump(mode="json"),
        "script": contestant.script,
        "arguments": list(contestant.arguments),
        "seconds": seconds,
        "warmup_seconds": warmup_seconds,
    }


def run_child(
    spec: dict[str, Any], log: Path, limit_seconds: float, gpu: GpuSampler, on_phase: Callable[[str], None]
) -> dict[str, Any]:
    """Measures one contestant once.

    Args:
        spec: see `spec_of`; also kinds `solve` and `calibrate`.
        log: file that takes what the process prints.
        limit_seconds: it is ended after this.
        gpu: utilisation.
        on_phase: called with each phase.

    Returns:
        the child's result with cpu_percent, gpu_percent and peak_memory_bytes; or `error`, a sentence.
    """
    # The measured code is this very one, wherever the bench was called from.
    paths = [str(Path(rl_speed.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    # Here and not in the child: it is removed however the child ends. Beside the log: where folders for temporary files
    # lie in memory, a replay that is saved may not fit.
    try:
        folder = _own_folder(log.parent)
    except OSError as error:
        return {"error": f"there is no room for its folder, neither in {log.parent} nor for temporary files ({error})"}
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "rl_speed.bench.measure.child", json.dumps({**spec, "folder": folder})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=env,
            start_new_session=True,  # Ctrl-C is for the bench, which ends its children itself
        )
    sampler = ProcessSampler(process.pid)
    sampler.start()
    try:
        answer = _converse(process, limit_seconds, on_phase)
    finally:
        sampler.stop()
        kill_tree(process.pid)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    if "error" in answer:
        return {"error": f"{answer['error']} (log: {log})"}
    result: dict[str, Any] = answer["result"]
    start, end = result.get("window", (0.0, 0.0))
    result["cpu_percent"] = sampler.cpu_percent(start, end, usable_cores().count)
    result["gpu_percent"] = gpu.percent(start, end)
    result["peak_memory_bytes"] = sampler.peak_memory_bytes or None
    return result


def _own_folder(beside: Path) -> str:
    """A new folder for what a process writes; elsewhere where the disk of the record is full."""
    try:
        return tempfile.mkdtemp(prefix="rl_speed_bench_", dir=beside)
    except OSError:
        return tempfile.mkdtemp(prefix="rl_speed_bench_")


def _converse(
    process: subprocess.Popen[bytes], limit_seconds: float, on_phase: Callable[[str], None]
) -> dict[str, Any]:
    """Reads the child's lines until its result, an error, its end or the limit."""
    lines: queue.Queue[bytes | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        with suppress(ValueError, OSError):
            for line in process.stdout:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        try:
            line = lines.get(timeout=0.5)
        except queue.Empty:
            # What it started may hold the pipe open after its own end.
            if process.poll() is None or not lines.empty():
                continue
            line = None
        if line is None:
            code = process.wait()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit status {code}"
            return {"error": f"the process {how} without a result"}
        try:
            content = json.loads(line)
        except ValueError:
            continue  # a library's own words
        if not isinstance(content, dict):
            continue
        if "phase" in content:
            on_phase(content["phase"])
        elif "result" in content or "error" in content:
            return content
    return {"error": f"did not finish within {limit_seconds:.0f} s"}
