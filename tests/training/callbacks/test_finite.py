"""A run whose numbers are not finite any more."""

import json
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch

import rl_speed
from rl_speed.training.callbacks.finite import EndDiverged
from rl_speed.training.checkpoint.folders import list_checkpoints
from rl_speed.training.checkpoint.reading import read_model
from rl_speed.training.divergence import DivergedError, is_finite
from tests.conftest import TINY, make_module
from tests.training.stand_ins import fake_exchange, fake_trainer


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_loss_of_several_is_enough(tiny_config, value):
    watcher, trainer = EndDiverged(tiny_config().update, 2.0, fake_exchange()), fake_trainer(7)
    watcher.on_train_batch_end(trainer, None, {"loss": torch.tensor([1.0, 2.0])})
    with pytest.raises(DivergedError, match=rf"{value}.* 7 gradient steps.*update\.learning_rate = 0\.0001"):
        watcher.on_train_batch_end(trainer, None, {"loss": torch.tensor([1.0, value])})


class Exploding(gymnasium.Env):
    """Games of 30 steps; the rewards of the eighth one on are so large that their squares are infinite."""

    observation_space = gymnasium.spaces.Box(0, 255, (20, 20), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self):
        self.games, self.steps = 0, 0

    def reset(self, *, seed=None, options=None):
        self.games, self.steps = self.games + 1, 0
        return np.zeros((20, 20), np.uint8), {}

    def step(self, action):
        self.steps += 1
        reward = 1e30 if self.games >= 8 else 1.0
        return np.full((20, 20), self.steps, np.uint8), reward, self.steps == 30, False, {}


def test_a_run_that_diverges_ends_and_keeps_its_good_checkpoints(tmp_path):
    changes = {f"{section}.{name}": value for section, fields in TINY.items() for name, value in fields.items()} | {
        "logging.directory": str(tmp_path),
        "checkpoint.every_seconds": 0.05,
        "replay.priority_exponent": 0.6,
        "update.loss": "mse",
    }
    with pytest.raises(DivergedError, match=r"has diverged.*the last checkpoint is .*gradient_steps="):
        rl_speed.train("smoke", {**changes, "stop.max_env_steps": 5000}, env=Exploding)
    result = json.loads((tmp_path / "version_0" / "result.json").read_text())
    assert (result["solved"], result["stop_reason"]) == (False, "diverged")
    kept = list_checkpoints(tmp_path / "version_0" / "checkpoints")
    assert kept
    for folder in kept:
        assert all(bool(torch.isfinite(tensor).all()) for tensor in read_model(folder)["state_dict"].values())


@pytest.fixture
def learner(tiny_config):
    """A module and what `is_finite` looks at, after one step of the optimizer."""
    module = make_module(tiny_config())
    optimizer = module.configure_optimizers()
    for parameter in module.online_network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return module, optimizer, SimpleNamespace(lightning_module=module, optimizers=[optimizer])


def test_a_weight_that_is_not_finite_is_seen(learner):
    module, _, trainer = learner
    assert is_finite(trainer)
    with torch.no_grad():
        module.online_network.advantage.bias[0] = float("nan")
    assert not is_finite(trainer)


def test_what_the_optimizer_remembers_is_looked_at_too(learner):
    module, optimizer, trainer = learner
    optimizer.state[module.online_network.advantage.bias]["exp_avg_sq"][0] = float("inf")
    assert not is_finite(trainer)


def test_a_mask_may_hold_infinities(learner):
    module, _, trainer = learner
    module.online_network.register_buffer("mask", torch.tensor([0.0, -float("inf")]))
    assert is_finite(trainer)
