"""What is said of an action, against slow loops over samples, actions and atoms."""

import math

import pytest
import torch

from rl_speed.config import NetworkConfig
from rl_speed.learner.td import Backup
from rl_speed.learner.values import CategoricalValue, ExpectedValue, QuantileValue, make_value_kind

SAMPLES, ACTIONS = 12, 3


def make_backup(with_bonus):
    """A policy that is not greedy, with samples after which nothing follows."""
    draw = torch.Generator().manual_seed(1)
    discount = torch.rand(SAMPLES, generator=draw)
    discount[:2] = 0.0
    policy = torch.rand(SAMPLES, ACTIONS, generator=draw).softmax(1)
    bonus = torch.randn(SAMPLES, ACTIONS, generator=draw) if with_bonus else None
    return Backup(2 * torch.randn(SAMPLES, generator=draw), discount, policy, bonus)


def output_of(width):
    return torch.randn(SAMPLES, ACTIONS, width, generator=torch.Generator().manual_seed(2))


def bonus_of(backup, b, a):
    return 0.0 if backup.bonus is None else backup.bonus[b, a].item()


@pytest.mark.parametrize("with_bonus", [False, True])
def test_the_expected_target_is_the_mean_over_the_next_actions(with_bonus):
    backup, output = make_backup(with_bonus), output_of(1)
    target = ExpectedValue().target(output, backup)
    for b in range(SAMPLES):
        value = sum(
            backup.policy[b, a].item() * (output[b, a, 0].item() + bonus_of(backup, b, a)) for a in range(ACTIONS)
        )
        expected = backup.n_step_return[b].item() + backup.discount[b].item() * value
        assert target[b].tolist() == pytest.approx([expected], abs=1e-5)


def test_the_expected_loss_and_its_corner():
    chosen, target = torch.tensor([[0.5], [0.0]]), torch.tensor([[1.0], [3.0]])
    loss, error = ExpectedValue().loss(chosen, target, "mse")
    assert loss.tolist() == [0.25, 9.0]
    assert error.tolist() == [0.5, 3.0]
    loss, _ = ExpectedValue().loss(chosen, target, "huber")
    assert loss.tolist() == [0.125, 2.5]


def slow_categorical_target(support, output, backup, b):
    """The paper's algorithm, an atom of an action after the other."""
    lowest, highest, count = support[0], support[-1], len(support)
    step = (highest - lowest) / (count - 1)
    result = [0.0] * count
    for a in range(ACTIONS):
        probability = output[b, a].softmax(0).tolist()
        for atom, mass in zip(support, probability, strict=True):
            moved = backup.n_step_return[b].item() + backup.discount[b].item() * (atom + bonus_of(backup, b, a))
            place = (min(max(moved, lowest), highest) - lowest) / step
            below, above = math.floor(place), math.ceil(place)
            mass = mass * backup.policy[b, a].item()
            if below == above:
                result[below] += mass
            else:
                result[below] += mass * (above - place)
                result[above] += mass * (place - below)
    return result


@pytest.mark.parametrize("with_bonus", [False, True])
def test_the_categorical_target_equals_a_slow_loop(with_bonus):
    kind, backup, output = CategoricalValue(11, -3.0, 2.0), make_backup(with_bonus), output_of(11)
    target = kind.target(output, backup)
    assert target.sum(1).tolist() == pytest.approx([1.0] * SAMPLES, abs=1e-5)
    for b in range(SAMPLES):
        expected = slow_categorical_target(kind.support.tolist(), output, backup, b)
        assert target[b].tolist() == pytest.approx(expected, abs=1e-5)


def test_returns_at_both_ends_stay_on_the_atoms():
    kind = CategoricalValue(3, -1.0, 1.0)
    place = torch.tensor([[-5.0, 5.0, 1.0, -1.0, 0.5]])
    found = kind.projected(place, torch.tensor([[0.1, 0.2, 0.3, 0.1, 0.3]]))
    assert found[0].tolist() == pytest.approx([0.2, 0.15, 0.65])


def test_what_is_not_a_number_reaches_the_loss():
    kind, backup = CategoricalValue(11, -3.0, 2.0), make_backup(True)
    target = kind.target(torch.full((SAMPLES, ACTIONS, 11), torch.nan), backup)
    assert kind.loss(torch.zeros(SAMPLES, 11), target, "mse")[0].isnan().all()


def test_the_categorical_mean_and_loss():
    kind = CategoricalValue(3, -1.0, 3.0)
    probability = torch.tensor([[0.5, 0.25, 0.25]])
    output = probability.log()
    assert kind.q_value(output[:, None]).item() == pytest.approx(-0.5 + 0.25 + 0.75)
    loss, error = kind.loss(output, torch.tensor([[0.0, 1.0, 0.0]]), "mse")
    assert loss.item() == pytest.approx(-math.log(0.25))
    assert error.item() == pytest.approx(-math.log(0.25))  # a certain target has no entropy
    loss, error = kind.loss(output, probability, "mse")
    assert loss.item() == pytest.approx(1.5 * math.log(2.0))
    assert error.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("with_bonus", [False, True])
def test_the_quantile_target_equals_a_slow_loop(with_bonus):
    kind, backup, output = QuantileValue(5), make_backup(with_bonus), output_of(5)
    target = kind.target(output, backup)
    for b in range(SAMPLES):
        for m in range(5):
            value = sum(
                backup.policy[b, a].item() * (output[b, a, m].item() + bonus_of(backup, b, a)) for a in range(ACTIONS)
            )
            expected = backup.n_step_return[b].item() + backup.discount[b].item() * value
            assert target[b, m].item() == pytest.approx(expected, abs=1e-5)


def test_the_quantile_loss_equals_a_slow_loop():
    count, draw = 4, torch.Generator().manual_seed(3)
    chosen, target = (2 * torch.randn(SAMPLES, count, generator=draw) for _ in range(2))
    loss, error = QuantileValue(count).loss(chosen, target, "mse")
    for b in range(SAMPLES):
        total = 0.0
        for i in range(count):
            middle = (2 * i + 1) / (2 * count)
            for j in range(count):
                u = target[b, j].item() - chosen[b, i].item()
                huber = 0.5 * u * u if abs(u) <= 1 else abs(u) - 0.5
                total += abs(middle - (u < 0)) * huber / count
        assert loss[b].item() == pytest.approx(total, abs=1e-5)
    assert torch.equal(error, loss)


def test_quantiles_are_learned_by_that_loss():
    kind, draw = QuantileValue(4), torch.Generator().manual_seed(0)
    output = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.SGD([output], lr=0.05)
    for _ in range(3000):
        optimizer.zero_grad()
        sample = 8 * torch.rand(16, 1, generator=draw)
        kind.loss(output.expand(16, 4), sample.expand(16, 4), "huber")[0].mean().backward()
        optimizer.step()
    # Of a uniform distribution on 0..8; the Huber corner draws the outer ones in by less than the distance between two.
    assert output[0].tolist() == pytest.approx([1.0, 3.0, 5.0, 7.0], abs=0.5)


@pytest.mark.parametrize("kind", ["expected", "categorical", "quantile"])
def test_errors_are_apart_from_the_graph_and_every_output_learns(kind):
    values = make_value_kind(NetworkConfig(value=kind, atoms=7, quantiles=6, value_range=(-2, 2)))
    output = output_of(values.width).requires_grad_()
    target = values.target(output.detach(), make_backup(False))
    loss, error = values.loss(output[:, 0], target, "huber")
    assert not error.requires_grad
    loss.sum().backward()
    assert bool((output.grad[:, 0].abs().sum(0) > 0).all())
    assert not output.grad[:, 1:].any()
