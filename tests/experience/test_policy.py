"""Epsilon and the draws of exploration."""

import pytest
import torch

from rl_speed.config import ExplorationConfig, NetworkConfig
from rl_speed.experience.policy import ExploringPolicy, epsilon_at
from rl_speed.learner.network import make_network


@pytest.mark.parametrize(
    ("env_steps", "expected"),
    [(0, 1.0), (1000, 1.0), (1500, 0.55), (2000, 0.1), (1_000_000, 0.1)],
)
def test_epsilon_is_flat_then_falls_then_is_flat(env_steps, expected):
    config = ExplorationConfig(epsilon_start=1.0, epsilon_end=0.1, decay_env_steps=1000)
    assert epsilon_at(env_steps, prefill_env_steps=1000, config=config) == pytest.approx(expected)


class FirstPixel(torch.nn.Module):
    """Values one action by the observation's first pixel."""

    def forward(self, observation):
        return torch.nn.functional.one_hot(observation[:, 0, 0, 0].long(), 4).float()


def make_policy(epsilon, seed=0):
    policy = ExploringPolicy(FirstPixel(), 4, seed)
    policy.epsilon = epsilon
    return policy


def test_greedy_takes_each_envs_best_action():
    observation = torch.tensor([3, 0, 2], dtype=torch.uint8)[:, None, None, None]
    assert make_policy(0.0).act(observation).tolist() == [3, 0, 2]


def test_each_env_explores_on_its_own():
    observation = torch.zeros((1000, 1, 1, 1), dtype=torch.uint8)
    action = make_policy(0.5).act(observation)
    # Half explore, and a quarter of those draw action 0 again.
    assert (action != 0).float().mean().item() == pytest.approx(0.375, abs=0.05)


def test_actions_are_drawn_from_the_softmax_of_their_values():
    policy = make_policy(0.0)
    policy.temperature = 0.5
    observation = torch.ones((20_000, 1, 1, 1), dtype=torch.uint8)
    share = torch.bincount(policy.act(observation), minlength=4) / 20_000
    best, other = 2.718281828**2, 1.0  # of values 1 and 0
    expected = torch.tensor([other, best, other, other]) / (best + 3 * other)
    torch.testing.assert_close(share, expected, atol=0.01, rtol=0)


def test_a_small_temperature_leaves_clear_choices_alone():
    policy = make_policy(0.0)
    policy.temperature = 0.02
    observation = torch.ones((20_000, 1, 1, 1), dtype=torch.uint8)
    assert policy.act(observation).unique().tolist() == [1]


def test_without_a_temperature_nothing_is_drawn_for_it():
    observation = torch.ones((50, 1, 1, 1), dtype=torch.uint8)
    policies = [make_policy(0.5, seed=3) for _ in range(2)]
    policies[1].temperature = 0.1
    for policy in policies:
        policy.act(observation)
    draws = torch.Generator().manual_seed(3)
    torch.randint(4, (50,), generator=draws)
    torch.rand(50, generator=draws)
    states = [policy.state_dict()["generator"] for policy in policies]
    assert torch.equal(states[0], draws.get_state())
    assert not torch.equal(states[1], states[0])


def test_random_actions_are_uniform():
    observation = torch.zeros((4000, 1, 1, 1), dtype=torch.uint8)
    count = torch.bincount(make_policy(1.0).act(observation), minlength=4)
    assert count.min() > 850


def test_the_draws_resume():
    observation = torch.zeros((50, 1, 1, 1), dtype=torch.uint8)
    first, second = make_policy(0.5, seed=1), make_policy(0.5, seed=2)
    first.act(observation)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.act(observation), second.act(observation))


def test_a_network_may_keep_a_tensor_from_acting_and_learn_with_it():
    class Keeper(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.grid = torch.nn.Parameter(torch.ones(2)), None

        def forward(self, observation):
            if self.grid is None:
                self.grid = torch.ones(2)
            return self.weight * self.grid * torch.ones(len(observation), 1)

    network, observation = Keeper(), torch.zeros((1, 1, 1, 1), dtype=torch.uint8)
    policy = ExploringPolicy(network, 2, seed=0)
    policy.epsilon = 0.0
    policy.act(observation)
    network(observation).sum().backward()
    assert network.weight.grad.tolist() == [1.0, 1.0]


def test_autograd_is_on_only_if_asked():
    seen = []

    class Probe(torch.nn.Module):
        def forward(self, observation):
            seen.append(torch.is_grad_enabled())
            return torch.zeros(len(observation), 2)

    observation = torch.zeros((1, 1, 1, 1), dtype=torch.uint8)
    for with_autograd in (False, True):
        policy = ExploringPolicy(Probe(), 2, seed=0, with_autograd=with_autograd)
        policy.epsilon = 0.0
        policy.act(observation)
    assert seen == [False, True]


def test_a_noisy_network_explores_anew_with_every_action_and_as_its_seed_says():
    config = NetworkConfig(channels=(4,), kernels=(4,), strides=(4,), hidden=8, noisy=True, noisy_sigma=2.0)
    observation = torch.full((1, 1, 20, 20), 100, dtype=torch.uint8)
    seen = []
    for seed in (0, 0, 1):
        torch.manual_seed(5)
        policy = ExploringPolicy(make_network(config, (1, 20, 20), 4), 4, seed)
        policy.epsilon = 0.0
        seen.append([int(policy.act(observation)) for _ in range(40)])
    assert len(set(seen[0])) > 1
    assert seen[0] == seen[1] != seen[2]
    policy.network.eval()
    assert len({int(policy.act(observation)) for _ in range(20)}) == 1
