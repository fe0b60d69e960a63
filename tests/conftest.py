"""Fixtures: a scripted env whose every value is known, and a configuration small enough for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before torch is imported: tests that start processes must not ask for more threads than cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("RL_SPEED_CORES", None)

import numpy as np
import pytest
import torch
import yaml

import rl_speed
from rl_speed.cli import main
from rl_speed.config import RunConfig, merge, validate
from rl_speed.learner.module import DQNModule
from rl_speed.learner.network import make_network
from rl_speed.records import EnvStep
from rl_speed.system.stage_timer import StageTimer
from tests.command_line import ENDLESS, checkpoints


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With two processes, whatever takes minutes must not begin last."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


class CountingEnv:
    """E scripted games: the pixel is the number of the frame, the reward is the number of the env step.

    Env e's episodes end after `lengths[e]` env steps each; the ends alternate between terminated and truncated
    where `truncates` says so. Frames are numbered on over all episodes, so every frame is told apart.
    """

    num_actions = 3
    device = torch.device("cpu")

    def __init__(self, lengths: list[int], height: int = 20, width: int = 20, truncates: bool = False) -> None:
        self.num_envs = len(lengths)
        self.lengths, self.truncates = lengths, truncates
        self.shape = (height, width)
        self.frame_number = np.zeros(self.num_envs, dtype=np.int64)
        self.in_episode = np.zeros(self.num_envs, dtype=np.int64)
        self.total = 0
        self.action: torch.Tensor | None = None
        self.actions: list[torch.Tensor] = []
        self.is_closed = False

    def _frames(self) -> np.ndarray:
        return np.broadcast_to(
            (self.frame_number % 256).astype(np.uint8)[:, None, None], (self.num_envs, *self.shape)
        ).copy()

    def reset(self) -> torch.Tensor:
        return torch.from_numpy(self._frames())

    def send(self, action: torch.Tensor) -> None:
        assert self.action is None, "send twice"
        self.action = action

    def recv(self) -> EnvStep:
        assert self.action is not None, "recv without send"
        self.actions.append(self.action)
        self.action = None
        self.total += 1
        self.frame_number += 1
        self.in_episode += 1
        is_over = self.in_episode == np.array(self.lengths)
        self.in_episode[is_over] = 0
        none, over = torch.zeros(self.num_envs, dtype=torch.bool), torch.from_numpy(is_over)
        return EnvStep(
            frame=torch.from_numpy(self._frames()),
            reward=torch.full((self.num_envs,), float(self.total)),
            terminated=none if self.truncates else over,
            truncated=over if self.truncates else none,
            life_lost=none,
        )

    def state_dict(self) -> dict[str, Any]:
        return {"frame_number": torch.from_numpy(self.frame_number.copy()), "total": self.total}

    def load_state_dict(self, state: dict[str, Any]) -> torch.Tensor:
        self.frame_number, self.total = state["frame_number"].numpy().copy(), state["total"]
        return torch.from_numpy(self._frames())

    def close(self) -> None:
        self.is_closed = True


TINY: dict[str, Any] = {
    "envs": {"image_height": 20, "image_width": 20, "frame_stack": 2, "clip_reward": False, "noop_max": 0},
    "replay": {"capacity_env_steps": 400, "prefill_env_steps": 40, "n_step": 2},
    "network": {"channels": (4,), "kernels": (4,), "strides": (4,), "hidden": 8},
    "update": {"batch_size": 8, "target_sync_gradient_steps": 10},
    "stop": {"confirm_episodes": 0},
    "logging": {"progress_bar": False},
    "trainer": {"accelerator": "cpu"},
}


def make_module(config: RunConfig, num_actions: int = 3) -> DQNModule:
    """The learner of a configuration, with networks of its own."""
    networks = [make_network(config.network, config.envs.observation_shape, num_actions) for _ in range(2)]
    return DQNModule(networks[0], networks[1], config.update, StageTimer())


@pytest.fixture
def tiny_config() -> Callable[..., RunConfig]:
    """A function that lays changes over the tiny configuration."""

    def make(**changes: Any) -> RunConfig:
        return validate(merge(TINY, changes))

    return make


TINY_RUN: dict[str, Any] = {
    "extends": "smoke",
    "envs": {"count": 2, "image_height": 20, "image_width": 20},
    "network": {"channels": [4], "kernels": [4], "strides": [4], "hidden": 8},
    "update": {"batch_size": 8, "threads": 1},
    "stop": {"max_env_steps": None, "confirm_episodes": 0},
    "trainer": {"accelerator": "cpu"},
}


@pytest.fixture
def tiny_file(tmp_path: Path) -> str:
    """Path of a configuration that the bench measures in no time."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY_RUN))
    return str(path)


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls the command line in this process, which spares the imports: exit status, output and errors."""

    def call_here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        # The helper would stay, and start the actors of all later tests in this process.
        monkeypatch.setattr("rl_speed.system.import_ahead.import_ahead", lambda module: None)
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["rl-speed", *arguments])
        capsys.readouterr()
        threads = torch.get_num_threads()
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code or 0
        torch.set_num_threads(threads)
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, captured.out, captured.err)

    return call_here


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a short run with two checkpoints; tests that change it work on a copy."""
    directory = tmp_path_factory.mktemp("finished")
    (directory / "run.yaml").write_text(ENDLESS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        rl_speed.train("run.yaml", {"stop.max_gradient_steps": 60, "checkpoint.every_seconds": 0.02})
    assert len(checkpoints(directory)) >= 2
    return directory
