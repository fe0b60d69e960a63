"""n-step returns, targets and losses against hand-computed numbers and a slow loop."""

import pytest
import torch

from rl_speed.learner.td import n_step_return, td_loss, td_target


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


def test_double_takes_the_online_choice_and_the_target_value():
    target_values = torch.tensor([[1.0, 9.0]])
    online_values = torch.tensor([[5.0, 2.0]])
    arguments = (torch.tensor([1.0]), torch.tensor([0.5]), target_values)
    assert td_target(*arguments, None).tolist() == [1 + 0.5 * 9]
    assert td_target(*arguments, online_values).tolist() == [1 + 0.5 * 1]


def test_no_bootstrap_after_the_end():
    target = td_target(torch.tensor([3.0]), torch.tensor([0.0]), torch.tensor([[1e6, 2e6]]), None)
    assert target.tolist() == [3.0]


@pytest.mark.parametrize(("kind", "expected"), [("mse", (0.25 + 9.0) / 2), ("huber", (0.125 + 2.5) / 2)])
def test_loss_of_the_chosen_action_over_valid_samples(kind, expected):
    q_value = torch.tensor([[0.5, 7.0], [7.0, 0.0], [0.0, 0.0]])
    loss, error = td_loss(
        q_value,
        action=torch.tensor([0, 1, 0]),
        target=torch.tensor([1.0, 3.0, 100.0]),
        is_valid=torch.tensor([True, True, False]),
        weight=torch.ones(3),
        kind=kind,
    )
    assert loss.item() == pytest.approx(expected)
    assert error.tolist() == [0.5, 3.0, 0.0]


def test_weights_scale_the_loss():
    arguments = {
        "q_value": torch.zeros(2, 1),
        "action": torch.zeros(2, dtype=torch.int64),
        "target": torch.tensor([1.0, 1.0]),
        "is_valid": torch.ones(2, dtype=torch.bool),
        "kind": "mse",
    }
    loss, _ = td_loss(weight=torch.tensor([1.0, 0.5]), **arguments)
    assert loss.item() == pytest.approx(0.75)
