"""n-step returns, targets and losses against hand-computed numbers and a slow loop."""

import math

import pytest
import torch

from rl_speed.config import UpdateConfig
from rl_speed.learner.td import greedy_backup, munchausen_backup, n_step_return, weighted_mean


def slow_n_step(rewards, terminals, length, gamma):
    total, discount = 0.0, 1.0
    for i in range(length):
        total += discount * rewards[i]
        discount *= gamma
        if terminals[i]:
            return total, 0.0
    return total, discount


@pytest.mark.parametrize("n", [1, 2, 5])
def test_n_step_return_equals_a_slow_loop(n):
    generator = torch.Generator().manual_seed(n)
    reward = torch.randn(500, n, generator=generator)
    terminal = torch.rand(500, n, generator=generator) < 0.2
    length = torch.randint(0, n + 1, (500,), generator=generator)
    total, discount = n_step_return(reward, terminal, length, 0.9)
    for i in range(500):
        expected = slow_n_step(reward[i].tolist(), terminal[i].tolist(), int(length[i]), 0.9)
        assert total[i].item() == pytest.approx(expected[0], abs=1e-5)
        assert discount[i].item() == pytest.approx(expected[1], abs=1e-6)


def test_the_terminal_step_counts_and_what_follows_does_not():
    reward = torch.tensor([[1.0, 2.0, 4.0]])
    total, discount = n_step_return(reward, torch.tensor([[False, True, False]]), torch.tensor([3]), 0.5)
    assert total.tolist() == [2.0]
    assert discount.tolist() == [0.0]


def test_the_discount_under_an_n_step_return_is_gamma_to_the_n():
    reward = torch.ones(1, 3)
    _, discount = n_step_return(reward, torch.zeros(1, 3, dtype=torch.bool), torch.tensor([3]), 0.5)
    assert discount.tolist() == [0.125]


def test_the_best_action_is_next_by_whoever_chooses():
    rewards = (torch.tensor([1.0]), torch.tensor([0.5]))
    assert greedy_backup(*rewards, torch.tensor([[1.0, 9.0, 2.0]])).policy.tolist() == [[0.0, 1.0, 0.0]]
    assert greedy_backup(*rewards, torch.tensor([[5.0, 2.0, 1.0]])).policy.tolist() == [[1.0, 0.0, 0.0]]


def slow_munchausen(next_q_value, q_value, action, alpha, temperature, least):
    """The parts of one sample's target, by the formulas of the paper."""

    def log_policy(values):
        total = sum(math.exp(value / temperature) for value in values)
        return [math.log(math.exp(value / temperature) / total) for value in values]

    likely = alpha * min(0.0, max(least, temperature * log_policy(q_value)[action]))
    after = log_policy(next_q_value)
    return likely, [math.exp(x) for x in after], [-temperature * x for x in after]


@pytest.mark.parametrize("least", [-1.0, -0.1])
def test_munchausen_equals_the_formulas(least):
    draw = torch.Generator().manual_seed(0)
    next_q_value, q_value = (torch.randn(20, 4, generator=draw) for _ in range(2))
    action = torch.randint(4, (20,), generator=draw)
    returns, discount = torch.randn(20, generator=draw), torch.full((20,), 0.9)
    config = UpdateConfig(munchausen=0.9, entropy_temperature=0.5, log_policy_min=least)
    backup = munchausen_backup(returns, discount, next_q_value, q_value, action, config)
    for i in range(20):
        likely, policy, bonus = slow_munchausen(
            next_q_value[i].tolist(), q_value[i].tolist(), int(action[i]), 0.9, 0.5, least
        )
        assert backup.n_step_return[i].item() == pytest.approx(returns[i].item() + likely, abs=1e-5)
        assert backup.policy[i].tolist() == pytest.approx(policy, abs=1e-5)
        assert backup.bonus[i].tolist() == pytest.approx(bonus, abs=1e-4)
    assert backup.discount is discount


def test_a_cold_munchausen_policy_is_greedy_and_finite():
    q_value = torch.tensor([[0.0, 50.0]])
    config = UpdateConfig(munchausen=0.9)
    backup = munchausen_backup(torch.zeros(1), torch.ones(1), q_value, q_value, torch.tensor([0]), config)
    assert backup.policy.tolist() == [[0.0, 1.0]]
    assert backup.n_step_return.item() == pytest.approx(-0.9)  # clipped
    assert (backup.policy * backup.bonus).sum().item() == 0.0


def test_samples_that_are_not_valid_have_no_loss_and_weights_scale_it():
    loss, valid = torch.tensor([0.25, 9.0, 100.0]), torch.tensor([True, True, False])
    assert weighted_mean(loss, valid, torch.ones(3)).item() == pytest.approx((0.25 + 9.0) / 2)
    assert weighted_mean(loss, valid, torch.tensor([1.0, 0.5, 1.0])).item() == pytest.approx((0.25 + 4.5) / 2)
    assert weighted_mean(loss, torch.zeros(3, dtype=torch.bool), torch.ones(3)).item() == 0.0
