"""Q-networks: shapes, the paper's size, heads, and what they do to the input."""

import pytest
import torch

from rl_speed.config import NetworkConfig
from rl_speed.network import QNetwork


def test_the_default_is_the_papers_network():
    network = QNetwork(NetworkConfig(), 4, 84, 84, 6)
    # Mnih 2015: 32@8x8/4, 64@4x4/2, 64@3x3/1, 512, A.
    expected = (4 * 64 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 9 + 1) * 64 + (7 * 7 * 64 + 1) * 512 + 513 * 6
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("normalise", [False, True])
def test_values_have_one_column_per_action(dueling, normalise):
    config = NetworkConfig(
        channels=(8, 8), kernels=(8, 3), strides=(4, 2), hidden=16, dueling=dueling, normalise=normalise
    )
    network = QNetwork(config, 2, 42, 42, 3)
    q_value = network(torch.randint(0, 256, (5, 2, 42, 42), dtype=torch.uint8))
    assert q_value.shape == (5, 3)
    assert torch.isfinite(q_value).all()


def test_advantages_of_a_dueling_network_do_not_shift_the_value():
    config = NetworkConfig(channels=(8,), kernels=(8,), strides=(4,), hidden=16, dueling=True)
    network = QNetwork(config, 1, 20, 20, 3)
    image = torch.randint(0, 256, (4, 1, 20, 20), dtype=torch.uint8)
    before = network(image)
    with torch.no_grad():
        network.advantage.bias += 7.0
    assert torch.allclose(network(image), before, atol=1e-5)


def test_bytes_and_their_float_copies_give_the_same_values():
    network = QNetwork(NetworkConfig(), 4, 84, 84, 6)
    image = torch.randint(0, 256, (2, 4, 84, 84), dtype=torch.uint8)
    assert torch.equal(network(image), network(image.float()))


def test_a_standardised_background_becomes_zero():
    network = QNetwork(NetworkConfig(channels=(4,), kernels=(4,), strides=(4,), hidden=8), 1, 20, 20, 2)
    background = torch.randint(0, 256, (20, 20)).float()
    network.standardise_input(background, deviation=8.0)
    with torch.no_grad():
        network.first.bias.zero_()
        network.first.weight.fill_(1 / 16)  # the mean of 16 pixels
    seen = []
    network.convolutions.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for use_bf16 in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16):
            network(background.to(torch.uint8)[None, None])
            network((background.clamp(max=247) + 8).to(torch.uint8)[None, None])
        assert seen.pop(0).abs().max() == 0
        assert seen.pop(0).max().item() == pytest.approx(1.0, rel=0.01)


def test_what_was_measured_is_part_of_the_weights():
    network = QNetwork(NetworkConfig(channels=(4,), kernels=(4,), strides=(4,), hidden=8), 1, 20, 20, 2)
    network.standardise_input(torch.full((20, 20), 9.0), 2.0)
    state = network.state_dict()
    assert state["input_mean"].unique().tolist() == [9.0]
    assert state["input_scale"].item() == 0.5


def test_bf16_is_close_to_float32():
    torch.manual_seed(0)
    network = QNetwork(NetworkConfig(), 4, 84, 84, 6)
    image = torch.randint(0, 256, (16, 4, 84, 84), dtype=torch.uint8)
    exact = network(image)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(image)
    assert rough.dtype == torch.float32
    assert torch.allclose(exact, rough.float(), atol=0.02)
