"""The program in processes of its own, for tests that start, watch and stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent

# No bound on speed: what takes as long as this will never end.
HANG_SECONDS = 600

# A run that goes on until it is stopped, with games of 25 env steps and cheap updates.
ENDLESS = """
extends: smoke
envs: {count: 2, max_episode_frames: 100, image_height: 20, image_width: 20}
replay: {capacity_env_steps: 2000, prefill_env_steps: 200}
network: {channels: [4], kernels: [4], strides: [4], hidden: 8}
update: {env_steps_per_gradient_step: 4, batch_size: 8, threads: 1}
stop: {max_env_steps: null, confirm_episodes: 0}
checkpoint: {every_seconds: 0.5, keep: 3}
"""

WITH_ACTORS = ENDLESS + "actors: {kind: subprocess, count: 2, rollout_env_steps: 2}\n"


def command(*arguments):
    return [sys.executable, str(ROOT / "cli.py"), *arguments]


def call(*arguments, cwd, timeout=HANG_SECONDS, **options):
    return subprocess.run(
        command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False, **options
    )


def heed_signals():
    """In a new process: who runs the tests in a shell's background, or with nohup, has these ignored."""
    for name in ("SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def start(directory, text, *arguments):
    (directory / "run.yaml").write_text(text)
    return subprocess.Popen(
        command("train", *(() if "--resume" in arguments else ("--config", "run.yaml")), *arguments),
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=heed_signals if os.name == "posix" else None,
    )


def checkpoints(directory):
    # Here, since it imports Lightning: tests that start no run need not wait for that.
    from rl_speed.training.checkpoint.folders import list_checkpoints

    return list_checkpoints(directory / "lightning_logs" / "version_0" / "checkpoints")


def wait_for_checkpoint(directory, process, count=1):
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        if len(checkpoints(directory)) >= count:
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no checkpoint: {process.communicate()[0]}")


def wait_for_events(directory, process):
    """Waits until the first game is counted: training is under way."""
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        found = list((directory / "lightning_logs" / "version_0").glob("events*"))
        if found and found[0].stat().st_size > 0:
            time.sleep(1.0)
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no games: {process.communicate()[0]}")


def children(process):
    return psutil.Process(process.pid).children(recursive=True)


def actors_of(process):
    """The processes that play: forked from the helper that the command line starts, so nobody's children but its."""
    return [child for child in children(process) if child.ppid() != process.pid]


def assert_all_end(processes):
    assert not psutil.wait_procs(processes, timeout=HANG_SECONDS)[1]


def is_alive(number):
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    return False


def assert_no_process_stays(numbers):
    """For those whose ending nobody has waited for, and who need not be children of this process."""
    deadline = time.monotonic() + HANG_SECONDS
    while alive := [number for number in numbers if is_alive(number)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.02)


def assert_no_leftovers(directory, processes, shared_before):
    assert_all_end(processes)
    assert not [path for path in directory.rglob("*") if ".partial" in path.name]
    assert_shared_memory_is_given_back(shared_before)


def assert_shared_memory_is_given_back(before):
    deadline = time.monotonic() + HANG_SECONDS
    while not shared_blocks() <= before:  # tests beside this one have blocks of their own, for moments
        assert time.monotonic() < deadline, shared_blocks() - before
        time.sleep(0.05)


def shared_blocks():
    folder = Path("/dev/shm")
    return set(os.listdir(folder)) if folder.is_dir() else set()
