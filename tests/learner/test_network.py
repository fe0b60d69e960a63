"""Q-networks: shapes, the paper's size, heads, and what they do to the input."""

import pytest
import torch

from rl_speed.config import EnvsConfig, NetworkConfig
from rl_speed.learner.network import make_network, multiply_adds, outputs_of_both


def test_the_default_is_the_papers_network():
    network = make_network(NetworkConfig(), (4, 84, 84), 6)
    # Mnih 2015: 32@8x8/4, 64@4x4/2, 64@3x3/1, 512, A.
    expected = (4 * 64 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 9 + 1) * 64 + (7 * 7 * 64 + 1) * 512 + 513 * 6
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("normalise", [False, True])
def test_values_have_one_column_per_action(dueling, normalise):
    config = NetworkConfig(
        channels=(8, 8), kernels=(8, 3), strides=(4, 2), hidden=16, dueling=dueling, normalise=normalise
    )
    network = make_network(config, (2, 42, 42), 3)
    q_value = network(torch.randint(0, 256, (5, 2, 42, 42), dtype=torch.uint8))
    assert q_value.shape == (5, 3)
    assert torch.isfinite(q_value).all()


def test_a_network_is_made_for_the_observations_of_its_games():
    envs = EnvsConfig(frame_stack=2, image_height=42, crop_top=6, image_width=30)
    network = make_network(NetworkConfig(channels=(8,), kernels=(8,), strides=(4,)), envs.observation_shape, 3)
    assert network(torch.zeros((5, 2, 36, 30), dtype=torch.uint8)).shape == (5, 3)


def test_advantages_of_a_dueling_network_do_not_shift_the_value():
    config = NetworkConfig(channels=(8,), kernels=(8,), strides=(4,), hidden=16, dueling=True)
    network = make_network(config, (1, 20, 20), 3)
    image = torch.randint(0, 256, (4, 1, 20, 20), dtype=torch.uint8)
    before = network(image)
    with torch.no_grad():
        network.advantage.bias += 7.0
    assert torch.allclose(network(image), before, atol=1e-5)


def test_bytes_and_their_float_copies_give_the_same_values():
    network = make_network(NetworkConfig(), (4, 84, 84), 6)
    image = torch.randint(0, 256, (2, 4, 84, 84), dtype=torch.uint8)
    assert torch.equal(network(image), network(image.float()))


def test_a_standardised_background_becomes_zero():
    network = make_network(NetworkConfig(channels=(4,), kernels=(4,), strides=(4,), hidden=8), (1, 20, 20), 2)
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
    network = make_network(NetworkConfig(channels=(4,), kernels=(4,), strides=(4,), hidden=8), (1, 20, 20), 2)
    network.standardise_input(torch.full((20, 20), 9.0), 2.0)
    state = network.state_dict()
    assert state["input_mean"].unique().tolist() == [9.0]
    assert state["input_scale"].item() == 0.5


def test_bf16_is_close_to_float32():
    torch.manual_seed(0)
    network = make_network(NetworkConfig(), (4, 84, 84), 6)
    image = torch.randint(0, 256, (16, 4, 84, 84), dtype=torch.uint8)
    exact = network(image)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(image)
    assert rough.dtype == torch.float32
    assert torch.allclose(exact, rough.float(), atol=0.02)


FUSED = {
    "channels": (8, 8), "kernels": (8, 3), "strides": (4, 2), "hidden": 16, "dueling": True, "normalise": True,
}  # fmt: skip


def plain_and_fused(width=42, frame_stack=2, **changes):
    """Two networks with the same weights, the second one fused, both standardised."""
    plain, fused = (
        make_network(NetworkConfig(**FUSED | changes, fused=fused), (frame_stack, 64, width), 3)
        for fused in (False, True)
    )
    plain.standardise_input(torch.randint(0, 256, (64, width)).float(), 20.0)
    fused.load_state_dict(plain.state_dict())
    return plain, fused


@pytest.mark.parametrize("width", [40, 42])
@pytest.mark.parametrize(
    ("frame_stack", "changes"),
    [(2, {}), (3, {}), (4, {}), (1, {"kernels": (4, 3)}), (2, {"normalise": False, "dueling": False})],
)
def test_a_fused_network_is_the_plain_one(width, frame_stack, changes):
    plain, fused = plain_and_fused(width, frame_stack, **changes)
    image = torch.randint(0, 256, (5, frame_stack, 64, width), dtype=torch.uint8)
    in_rows = image.contiguous(memory_format=torch.channels_last)
    for other in (image, in_rows, image.float()):
        assert torch.allclose(plain(image), fused(other), atol=1e-5)
    for network in (plain, fused):
        network(image).square().sum().backward()
    for (name, expected), parameter in zip(plain.named_parameters(), fused.parameters(), strict=True):
        assert torch.allclose(expected.grad, parameter.grad, rtol=1e-4, atol=1e-5 * expected.grad.abs().max()), name


def test_a_fused_network_is_close_to_float32_in_bf16():
    torch.manual_seed(0)
    plain, fused = plain_and_fused()
    image = torch.randint(0, 256, (16, 2, 64, 42), dtype=torch.uint8)
    exact = plain(image)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(exact, fused(image), atol=0.05 * float(exact.detach().std()) + 0.02)


@pytest.mark.parametrize("changes", [{}, {"normalise": False, "dueling": False}])
def test_two_networks_at_once_say_what_each_says(changes):
    first, second = (pair[1] for pair in (plain_and_fused(**changes), plain_and_fused(**changes)))
    second.input_mean.copy_(first.input_mean)
    image = torch.randint(0, 256, (5, 2, 64, 42), dtype=torch.uint8)
    both = [output.squeeze(2) for output in outputs_of_both(first, second, image)]
    assert torch.allclose(both[0], first(image), atol=1e-5)
    assert torch.allclose(both[1], second(image), atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-2)


def test_networks_of_the_callers_answer_each_for_itself():
    first, second = (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3)) for _ in range(2))
    observation = torch.randn(5, 1, 2, 2)
    both = outputs_of_both(first, second, observation)
    assert torch.equal(both[0], first(observation)[..., None])
    assert torch.equal(both[1], second(observation)[..., None])


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("value", ["categorical", "quantile"])
def test_values_are_the_means_of_distributions(value, dueling):
    config = NetworkConfig(**FUSED | {"value": value, "dueling": dueling, "value_range": (-2.0, 2.0), "quantiles": 9})
    network = make_network(config, (2, 64, 42), 3)
    image = torch.randint(0, 256, (5, 2, 64, 42), dtype=torch.uint8)
    output = network.output(image)
    assert output.shape == (5, 3, 51 if value == "categorical" else 9)
    returns = torch.linspace(-2, 2, 51) if value == "categorical" else torch.ones(9)
    weight = output.softmax(2) if value == "categorical" else output / 9
    assert torch.allclose(network(image), (weight * returns).sum(2), atol=1e-5)


def test_a_distributional_network_of_one_kind_does_not_fit_another():
    networks = [make_network(NetworkConfig(**FUSED, value=value), (2, 64, 42), 3) for value in ("expected", "quantile")]
    with pytest.raises(RuntimeError, match="advantage"):
        networks[0].load_state_dict(networks[1].state_dict())


def test_multiply_adds_of_the_papers_network():
    convolutions = 3_276_800 + 2_654_208 + 1_806_336
    assert multiply_adds(NetworkConfig(), (4, 84, 84)) == convolutions + 3136 * 512 + 512 * 6
    assert (
        multiply_adds(NetworkConfig(value="quantile", quantiles=5), (4, 84, 84)) - convolutions == 3136 * 512 + 512 * 30
    )
