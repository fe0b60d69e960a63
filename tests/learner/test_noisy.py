"""Layers with noise on their weights."""

import pytest
import torch

from rl_speed.config import NetworkConfig
from rl_speed.learner.network import make_network
from rl_speed.learner.noisy import NoisyLinear


def make_layer():
    torch.manual_seed(0)
    layer = NoisyLinear(5, 3, 0.5)
    layer.draw_noise(torch.Generator().manual_seed(1))
    return layer


def test_the_noise_of_a_weight_is_the_product_of_two_draws():
    layer, x = make_layer(), torch.randn(4, 5)
    weight = layer.weight + layer.weight_sigma * torch.outer(layer.noise_out, layer.noise_in)
    bias = layer.bias + layer.bias_sigma * layer.noise_out
    assert torch.allclose(layer(x), x @ weight.T + bias, atol=1e-6)


def test_without_training_there_is_none():
    layer, x = make_layer().eval(), torch.randn(4, 5)
    assert torch.allclose(layer(x), x @ layer.weight.T + layer.bias, atol=1e-6)


def test_it_starts_as_the_paper_says():
    layer = make_layer()
    assert layer.weight_sigma.unique().tolist() == pytest.approx([0.5 / 5**0.5])
    assert layer.bias_sigma.unique().tolist() == pytest.approx([0.5 / 5**0.5])
    assert layer.weight.abs().max() <= 5**-0.5


def test_draws_are_signed_roots_of_normal_ones_and_come_from_the_generator():
    layer = NoisyLinear(10_000, 1, 0.5)
    layer.draw_noise(torch.Generator().manual_seed(3))
    first = layer.noise_in.clone()
    assert (first.sign() * first.square()).std().item() == pytest.approx(1.0, abs=0.05)
    layer.draw_noise(torch.Generator().manual_seed(3))
    assert torch.equal(layer.noise_in, first)
    layer.draw_noise(torch.Generator().manual_seed(4))
    assert not torch.equal(layer.noise_in, first)


def test_how_much_noise_there_is_is_learned():
    layer = make_layer()
    layer(torch.randn(4, 5)).square().sum().backward()
    assert layer.weight_sigma.grad.abs().sum() > 0
    assert layer.bias_sigma.grad.abs().sum() > 0


@pytest.mark.parametrize("dueling", [False, True])
def test_a_network_draws_in_all_of_its_heads_and_keeps_no_noise(dueling):
    config = NetworkConfig(channels=(4,), kernels=(4,), strides=(4,), hidden=8, dueling=dueling, noisy=True)
    network = make_network(config, (1, 20, 20), 3)
    layers = [layer for layer in network.modules() if isinstance(layer, NoisyLinear)]
    assert len(layers) == (3 if dueling else 2)
    network.draw_noise()
    assert all(bool(layer.noise_in.any()) for layer in layers)
    assert not [name for name in network.state_dict() if "noise" in name]
