"""The target network and the mean image."""

from types import SimpleNamespace

import pytest
import torch

from rl_speed.training.callbacks.learning import InputStandardisation, TargetSync
from rl_speed.training.ranks.group import Ranks
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


@pytest.mark.parametrize("gradient_step", [0, 1])
def test_every_network_sees_standardised_images_from_the_first_gradient_step_on(tiny_config, gradient_step):
    module = make_module(tiny_config(update={"averaging_rate": 0.1}))
    shape = module.online_network.input_mean.shape
    sums = torch.stack([torch.full(shape, value, dtype=torch.float64) for value in (40.0, 4000.0, 4.0)])
    callback = InputStandardisation(SimpleNamespace(frame_sums=lambda: sums), Ranks())
    callback.on_train_batch_start(fake_trainer(gradient_step), module)
    # Mean 10, deviation 30; a resumed run keeps what it has.
    mean, scale = (10.0, 1 / 30) if gradient_step == 0 else (0.0, 1 / 255)
    for network in (module.online_network, module.target_network, module.acting_network):
        assert torch.equal(network.input_mean, torch.full(shape, mean))
        assert float(network.input_scale) == pytest.approx(scale)
