"""Whole runs: their limits, their confirmation, and games on a GPU."""

import time

import gymnasium
import numpy as np
import pytest
import torch

import rl_speed
from rl_speed.config import load_config
from rl_speed.system import ending
from rl_speed.training.checkpoint.resuming import Request
from rl_speed.training.fit import fit
from tests.conftest import TINY


class Clock:
    """Time that goes on by a second with each look at it."""

    def __init__(self):
        self.now = time.monotonic()

    def monotonic(self):
        self.now += 1.0
        return self.now


def test_the_deadline_holds_in_the_prefill_too(tmp_path, monkeypatch):
    monkeypatch.setattr(ending, "time", Clock())
    overrides = {"replay.prefill_env_steps": 90_000, "logging.directory": str(tmp_path)}
    result = rl_speed.train("baseline", overrides, max_seconds=30.0, env=TwoActions)
    assert (result.stop_reason, result.gradient_steps) == ("max_seconds", 0)
    assert 0 < result.env_steps <= 30


class TwoActions(gymnasium.Env):
    """Games of five env steps; the second action gives 1."""

    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(0, 255, (20, 20), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros((20, 20), dtype=np.uint8), {}

    def step(self, action):
        self.steps += 1
        return np.zeros((20, 20), dtype=np.uint8), float(action), self.steps == 5, False, {}


class Biased(torch.nn.Module):
    """One value per action, whatever is seen; the first action seems good until something is learned."""

    def __init__(self, shape, num_actions):
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor([0.5, 0.0]))

    def forward(self, observation):
        return self.value.expand(len(observation), 2)


def test_the_online_network_is_confirmed_at_the_confirmations_epsilon(tmp_path):
    overrides = {
        "envs": {"image_height": 20, "image_width": 20},
        "network": TINY["network"],  # of another network, but a size that fits is asked for
        "replay": {"capacity_env_steps": 400, "prefill_env_steps": 40, "gamma": 0.0},
        "update": {"learning_rate": 0.05, "target_sync_gradient_steps": 1000, "threads": 1},
        "exploration": {"epsilon_end": 0.3, "decay_env_steps": 1},
        "stop": {
            "reward": 3.5, "window_episodes": 10, "max_env_steps": 2000, "confirm_episodes": 8, "confirm_epsilon": 0.0,
        },
        "logging": {"directory": str(tmp_path)},
    }  # fmt: skip
    result = rl_speed.train("baseline", overrides, env=TwoActions, network=Biased)
    assert result.solved
    # The target network would still take the first action, and three tenths of the training's actions are random.
    assert (result.confirmation["episodes"], result.confirmation["mean"]) == (8, 5.0)


def test_the_averaged_network_is_judged_and_loaded(tmp_path):
    overrides = {
        "envs": {"image_height": 20, "image_width": 20},
        "network": TINY["network"],
        "replay": {"capacity_env_steps": 400, "prefill_env_steps": 40, "gamma": 0.0},
        # The online network learns to take the second action; its average has hardly moved.
        "update": {"learning_rate": 0.05, "averaging_rate": 1e-6, "threads": 1},
        "exploration": {"epsilon_end": 0.3, "decay_env_steps": 1},
        "stop": {"max_env_steps": 1000, "confirm_unsolved": True, "confirm_episodes": 8, "confirm_epsilon": 0.0},
        "logging": {"directory": str(tmp_path)},
    }
    result = rl_speed.train("baseline", overrides, env=TwoActions, network=Biased)
    first_action = rl_speed.evaluate(result.checkpoint, 2, epsilon=0.0, env=TwoActions, network=Biased).mean
    assert result.confirmation["mean"] == first_action < 5.0


@pytest.mark.gpu
def test_a_run_learns_from_games_on_the_gpu(tmp_path):
    changes = {
        "envs.count": 64, "replay.capacity_env_steps": 20_000, "replay.prefill_env_steps": 4000,
        "update.batch_size": 256, "stop.max_env_steps": 12_000, "stop.confirm_episodes": 0,
        "logging.directory": str(tmp_path), "logging.progress_bar": "false",
    }  # fmt: skip
    config = load_config("cuda", [f"{name}={value}" for name, value in changes.items()])
    result = fit(Request(None, "cuda", config)).result
    assert result["env_steps"] >= 12_000
    assert result["gradient_steps"] > 50


@pytest.mark.gpu
def test_a_run_whose_steps_are_captured_goes_on_with_a_gpu_and_without(tmp_path):
    small = {
        "envs.count": 16, "replay.capacity_env_steps": 8000, "replay.prefill_env_steps": 1600,
        "stop.max_gradient_steps": 60, "stop.confirm_episodes": 2, "stop.confirm_unsolved": True,
        "logging.directory": str(tmp_path),
    }  # fmt: skip
    result = rl_speed.train("fast_gpu", small)
    assert (result.gradient_steps, result.confirmation["episodes"]) == (60, 2)
    for accelerator, until in (("gpu", 120), ("cpu", 180)):
        replay = "cuda" if accelerator == "gpu" else "cpu"
        changes = {"trainer.accelerator": accelerator, "replay.device": replay, "stop.max_gradient_steps": until}
        result = rl_speed.train(resume=result.checkpoint, overrides=changes)
        assert result.gradient_steps == until
