"""The mean gradient of several ranks is that of one minibatch with all their samples."""

import threading

import pytest
import torch

from rl_speed.learner.mean import GradientMean
from rl_speed.system.stage_timer import StageTimer
from tests.conftest import make_module
from tests.learner.batches import make_batch


class Sum:
    """Adds up tensors of threads."""

    def __init__(self, size):
        self._tensors, self._barrier = [None] * size, threading.Barrier(size)

    def of(self, rank):
        def total(tensor):
            self._tensors[rank] = tensor.clone()
            self._barrier.wait(30)
            tensor.copy_(torch.stack(self._tensors).sum(0))
            self._barrier.wait(30)

        return total


@pytest.mark.parametrize(("ranks", "shards"), [(2, 1), (4, 1), (2, 2)])
def test_ranks_with_a_part_each_equal_one_with_the_whole_minibatch(tiny_config, ranks, shards):
    config = tiny_config(
        envs={"image_height": 42, "image_width": 42, "frame_stack": 2},
        update={"batch_size": 8, "shards": shards, "max_gradient_norm": 0.01},
    )
    whole, minibatch = make_module(config), make_batch(1).minibatch(0)
    total = Sum(ranks)
    modules = [make_module(config) for _ in range(ranks)]
    outcomes = [None] * ranks

    def work(rank):
        module = modules[rank]
        module.load_state_dict(before)
        module._mean = GradientMean(total.of(rank), StageTimer())
        optimizer = torch.optim.SGD(module.online_network.parameters(), lr=1.0)
        outcomes[rank] = module.gradient_step(
            minibatch.parts([len(minibatch.action) // ranks] * ranks)[rank], optimizer
        )
        module.gradient.close()

    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    loss, error = whole.gradient_step(minibatch, torch.optim.SGD(whole.online_network.parameters(), lr=1.0))
    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for module, outcome in zip(modules, outcomes, strict=True):
        torch.testing.assert_close(outcome[0], loss)
        for one, other in zip(module.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
        for one, other in zip(module.parameters(), modules[0].parameters(), strict=True):
            assert torch.equal(one, other)
    torch.testing.assert_close(torch.cat([outcome[1] for outcome in outcomes]), error)
    whole.gradient.close()


def test_samples_that_are_not_valid_do_not_count_and_none_is_no_division_by_zero():
    parameter, unused = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(1))
    parameter.grad = torch.tensor([1.0, 2.0])

    def other_rank(gradient, loss, valid):
        def total(tensor):
            tensor += torch.tensor([*(valid * value for value in gradient), valid * loss, valid])

        return total

    timer = StageTimer()
    loss = GradientMean(other_rank([5.0, 6.0], 9.0, 3.0), timer)(
        [parameter, unused], torch.tensor(1.0), torch.tensor(1)
    )
    assert loss == pytest.approx(7.0)
    assert parameter.grad.tolist() == pytest.approx([4.0, 5.0])
    assert unused.grad is None
    assert timer.seconds["reduce"] > 0
    loss = GradientMean(other_rank([0.0, 0.0], 0.0, 0.0), timer)([parameter], torch.tensor(0.0), torch.tensor(0))
    assert loss == 0.0
    assert parameter.grad.tolist() == [0.0, 0.0]


def test_a_loss_that_is_not_finite_anywhere_is_so_everywhere():
    parameter = torch.nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)

    def total(tensor):
        tensor += float("nan")

    assert GradientMean(total, StageTimer())([parameter], torch.tensor(1.0), torch.tensor(1)).isnan()
