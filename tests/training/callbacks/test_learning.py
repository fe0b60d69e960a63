"""The target network."""

import pytest
import torch

from rl_speed.training.callbacks.learning import TargetSync
from tests.conftest import make_module
from tests.training.stand_ins import fake_trainer


@pytest.mark.parametrize(
    ("start", "gradient_step", "is_synced"),
    [(8, 9, False), (9, 10, True), (12, 20, True), (9, 13, True), (10, 19, False)],
)
def test_the_target_is_synced_every_so_many_gradient_steps(tiny_config, start, gradient_step, is_synced):
    config = tiny_config()
    module = make_module(config)
    with torch.no_grad():
        module.online_network.advantage.bias += 1.0
    callback = TargetSync(config.update)
    callback.on_train_start(fake_trainer(start), module)
    callback.on_train_batch_end(fake_trainer(gradient_step), module)
    same = torch.equal(module.online_network.advantage.bias, module.target_network.advantage.bias)
    assert same == is_synced
