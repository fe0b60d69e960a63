"""Tiny runs in processes of their own, for the campaigns beside this file: started, watched, judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the program that these files lie beside, not one that is installed

import torch  # noqa: E402

from rl_speed.training.checkpoint.folders import list_checkpoints  # noqa: E402
from rl_speed.training.checkpoint.reading import read_experience, read_model  # noqa: E402

# Games of 25 env steps and cheap updates, with all that a run can keep between two batches.
CONFIG = """
extends: smoke
envs: {count: 2, max_episode_frames: 100, image_height: 20, image_width: 20, noop_max: 5, sticky_probability: 0.25}
replay: {capacity_env_steps: 2000, prefill_env_steps: 400}
network: {channels: [4], kernels: [4], strides: [4], hidden: 8}
update: {env_steps_per_gradient_step: 4, batch_size: 8, threads: 1}
stop: {max_env_steps: null, confirm_episodes: 0, reward: 100, window_episodes: 4}
checkpoint: {every_seconds: 0.4, keep: 2}
"""
ACTORS = "actors: {kind: subprocess, count: 2, rollout_env_steps: 2}\n"
HIDDEN = (".partial", ".removed", ".replaced")


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "cli.py"), "train", *arguments]


def start(directory: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a run in `directory`; what it says goes to out.txt there."""
    with (directory / "out.txt").open("ab") as file:
        return subprocess.Popen(command(*arguments), cwd=directory, stdout=file, stderr=file, start_new_session=True)


def call(directory: Path, *arguments: str) -> tuple[int, str]:
    """Runs to the end: exit status and what it said."""
    done = subprocess.run(
        command(*arguments), cwd=directory, capture_output=True, text=True, check=False, timeout=600, errors="replace"
    )
    return done.returncode, done.stdout + done.stderr


def run_folder(directory: Path) -> Path:
    return directory / "lightning_logs" / "version_0"


def checkpoints(directory: Path) -> list[Path]:
    """Whole checkpoints of the first run, newest first."""
    return list_checkpoints(run_folder(directory) / "checkpoints")


def wait_until(is_true: Callable[[], bool], process: subprocess.Popen[bytes], every_seconds: float = 0.02) -> bool:
    """Waits as long as the process lives; whether it came true."""
    while process.poll() is None:
        if is_true():
            return True
        time.sleep(every_seconds)
    return False


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes below it."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def survivors(processes: list[psutil.Process], seconds: float = 60.0) -> list[int]:
    """Those that still run after a while."""
    return [process.pid for process in psutil.wait_procs(processes, timeout=seconds)[1]]


def shared_blocks() -> set[str]:
    folder = Path("/dev/shm")
    return set(os.listdir(folder)) if folder.is_dir() else set()


def hidden_leftovers(directory: Path) -> list[str]:
    """Half-written and half-removed checkpoints."""
    return [path.name for path in run_folder(directory).rglob("*") if path.name.endswith(HIDDEN)]


def state(checkpoint: Path) -> dict[str, Any]:
    """All that a checkpoint holds and that has to be the same in an uninterrupted run."""
    model = read_model(checkpoint)
    statistics = model["callbacks"]["EpisodeStatistics"]
    for clock in statistics["clocks"].values():
        (clock or {}).pop("seconds", None)
    experience = read_experience(checkpoint, 0)
    for name in ("python", "numpy"):  # a run does not seed these, and draws nothing from them
        experience["random"].pop(name)
    return {
        "weights": model["state_dict"],
        "optimizer": model["optimizer_states"],
        "gradient_steps": model["global_step"],
        "statistics": statistics,
        "experience": experience,
    }


def difference(first: Any, second: Any, path: str = "") -> str | None:
    """Where two states differ first; None: nowhere."""
    if type(first) is not type(second):
        return path
    if isinstance(first, dict):
        if first.keys() != second.keys():
            return path
        pairs = [(first[key], second[key], f"{path}/{key}") for key in first]
    elif isinstance(first, (list, tuple)):
        if len(first) != len(second):
            return path
        pairs = [(a, b, f"{path}/{index}") for index, (a, b) in enumerate(zip(first, second, strict=True))]
    elif isinstance(first, torch.Tensor):
        # Rewards that nobody wrote are NaN.
        is_same = first.shape == second.shape and bool((first.eq(second) | (first.isnan() & second.isnan())).all())
        return None if is_same else path
    else:
        return None if first == second else path
    return next((found for pair in pairs if (found := difference(*pair)) is not None), None)


def result(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run_folder(directory) / "result.json").read_text())
    return content
