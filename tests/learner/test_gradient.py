"""Gradients in parts, where a parameter has none."""

import torch

from rl_speed.config import UpdateConfig
from rl_speed.learner.gradient import Gradient
from tests.learner.batches import make_batch


def gradients(shards):
    weight, unused = torch.nn.Parameter(torch.tensor([2.0])), torch.nn.Parameter(torch.tensor([1.0]))

    def loss(batch):
        error = (weight - batch.n_step_return).abs() * batch.is_valid
        return error.sum() / batch.is_valid.sum().clamp(min=1), error.detach()

    gradient = Gradient(loss, UpdateConfig(shards=shards))
    value, error = gradient(make_batch(1).minibatch(0), [weight, unused])
    gradient.close()
    return value, error, weight.grad, unused.grad


def test_a_parameter_that_the_loss_does_not_reach_has_no_gradient():
    whole, parts = gradients(1), gradients(2)
    for one, other in zip(whole[:3], parts[:3], strict=True):
        torch.testing.assert_close(one, other)
    assert whole[3] is None
    assert parts[3] is None
