"""The residual network."""

import pytest
import torch

from rl_speed.config import NetworkConfig
from rl_speed.learner.network import make_network


def make_impala(**changes):
    torch.manual_seed(0)
    return make_network(NetworkConfig(**{"kind": "impala", "channels": (4, 8), "hidden": 16} | changes), (2, 21, 30), 3)


def test_the_papers_network_has_its_size():
    network = make_network(NetworkConfig(kind="impala", channels=(16, 32, 32), hidden=256), (4, 84, 84), 6)
    weights = 0
    for before, after in ((4, 16), (16, 32), (32, 32)):
        weights += (before * 9 + 1) * after + 4 * (after * 9 + 1) * after  # a convolution and two residual blocks
    weights += (11 * 11 * 32 + 1) * 256 + 257 * 6  # 84 rows become 42, 21 and 11
    assert sum(parameter.numel() for parameter in network.parameters()) == weights


@pytest.mark.parametrize("changes", [{}, {"normalise": True, "dueling": True}, {"value": "quantile", "quantiles": 5}])
def test_every_weight_learns(changes):
    network = make_impala(**changes)
    q_value = network(torch.randint(0, 256, (5, 2, 21, 30), dtype=torch.uint8))
    assert q_value.shape == (5, 3)
    (q_value * torch.randn(5, 3)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_residual_block_without_weights_changes_nothing():
    block = make_impala().stages[1]
    for parameter in block.parameters():
        parameter.data.zero_()
    feature = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(feature), feature)


def test_a_standardised_background_is_zero():
    network = make_impala()
    background = torch.randint(0, 256, (21, 30)).float()
    network.standardise_input(background, 8.0)
    assert not network.prepare(background.to(torch.uint8).expand(1, 2, 21, 30)).any()
