"""Work that is captured: by a recorder that does on the CPU what a CUDA graph does, and by a graph on a GPU."""

import re

import pytest
import pytorch_lightning as pl
import torch

from rl_speed.config import load_config
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.learner.captured import CALLS_BEFORE, Captured, CapturedStep
from tests.conftest import make_module
from tests.learner.batches import make_batch
from tests.learner.tape import Tape

CPU = torch.device("cpu")
FAMILY = [
    ["update.averaging_rate=0.1"],
    ["network.value=categorical", "network.noisy=true", "update.target_sync_rate=0.01"],
    ["network.value=quantile", "update.double=true", "update.max_gradient_norm=1"],
    [
        "update.double=false", "update.munchausen=0.9", "network.dueling=true", "network.normalise=true",
        "network.standardise=true",
    ],
    ["network.kind=impala", "network.channels=[4,8,8]"],
]  # fmt: skip
CHANGES = ["update.batch_size=8", "envs.image_height=42", "envs.image_width=42", "update.shards=1"]


def step_tape():
    return Tape(torch.empty(()), torch.empty(8))  # of a loss and of errors


def make_learner(*changes, tape=None, device="cpu"):
    torch.manual_seed(0)
    graph = tape is not None or device == "cuda"
    module = make_module(load_config("smoke", [*CHANGES, f"update.cuda_graph={graph}", *changes])).to(device)
    if tape is not None:
        module._take_step = CapturedStep(module.step_parts, lambda: tape)
    return module, module.configure_optimizers()


def minibatches(count, device="cpu"):
    batch = make_batch(count)
    return [batch.minibatch(n).to(device) for n in range(count)]


def assert_same_weights(modules, tolerance):
    for one, other in zip(*(module.online_network.parameters() for module in modules), strict=True):
        torch.testing.assert_close(one.cpu(), other.cpu(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("changes", FAMILY)
def test_captured_gradient_steps_are_the_same_steps(changes):
    tape = step_tape()
    (plain, optimizer), (captured, other) = make_learner(*changes), make_learner(*changes, tape=tape)
    results = []
    for module, owner in ((plain, optimizer), (captured, other)):
        torch.manual_seed(1)
        steps = []
        for n, minibatch in enumerate(minibatches(8)):
            if n == 5:
                for group in owner.param_groups:  # what set_learning_rate does
                    group["lr"] = group["lr"].fill_(1e-2) if torch.is_tensor(group["lr"]) else 1e-2
            steps.append(module.gradient_step(minibatch, owner))
        results.append(steps)
    assert (tape.recorded, tape.replayed) == (1, 8 - CALLS_BEFORE)
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert_same_weights((plain, captured), 1e-4)


def doubled(parameters, loss, num_valid):
    """Doubling gradients, in their place, stands for their sum over ranks."""
    for parameter in parameters:
        parameter.grad.mul_(2)
    return loss * 2


class Refused(Tape):
    def record(self, work):
        raise RuntimeError("not this one")


@pytest.mark.parametrize("refused", [None, 0, 1])
def test_ranks_share_their_gradients_between_two_captures(refused):

    (plain, optimizer), (captured, other) = (make_learner("update.max_gradient_norm=1") for _ in range(2))
    plain._mean = captured._mean = doubled
    tapes = [Refused() if refused == 0 else step_tape(), Refused() if refused == 1 else Tape()]
    captured._take_step = CapturedStep(captured.step_parts, iter(tapes).__next__)
    for minibatch in minibatches(10):
        expected, found = plain.gradient_step(minibatch, optimizer), captured.gradient_step(minibatch, other)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    first = 0 if refused == 0 else 10 - CALLS_BEFORE
    # The second one is first called when the first one has been captured.
    second = 0 if refused == 1 else max(0, first - CALLS_BEFORE)
    assert [tape.replayed for tape in tapes] == [first, second]
    assert_same_weights((plain, captured), 1e-4)


def test_results_of_a_captured_step_are_the_callers_own():
    module, optimizer = make_learner(tape=step_tape())
    results = [module.gradient_step(minibatch, optimizer) for minibatch in minibatches(6)]
    assert len({float(loss) for loss, _ in results}) == 6


def test_lightning_counts_captured_steps():
    module, _ = make_learner(tape=step_tape())
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader([make_batch(2) for _ in range(4)], batch_size=None)
    trainer.fit(module, loader)
    assert trainer.global_step == 8


def test_the_step_size_of_a_captured_step_stays_a_tensor():
    module, optimizer = make_learner(tape=step_tape())
    module.optimizers = lambda: optimizer
    (group,) = optimizer.param_groups
    place = group["lr"].data_ptr()
    module.set_learning_rate(0.25)
    assert (float(group["lr"]), group["lr"].data_ptr(), group["capturable"]) == (0.25, place, True)
    plain, optimizer = make_learner()
    plain.optimizers = lambda: optimizer
    # A checkpoint of a run on a GPU goes on without a graph.
    saved = {**group, "params": list(range(len(group["params"])))}
    optimizer.load_state_dict({**optimizer.state_dict(), "param_groups": [saved]})
    plain.on_train_start()
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["capturable"]) == (0.25, False)
    plain.gradient_step(minibatches(1)[0], optimizer)


def test_what_cannot_be_captured_is_told_once_and_done_all_the_same(caplog):
    class Refusing:
        def record(self, work):
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    work = Captured("doubling", lambda x: (2 * x,), CPU, Refusing)
    assert [float(work(torch.tensor(float(n)))[0]) for n in range(6)] == [0, 2, 4, 6, 8, 10]
    (message,) = caplog.messages
    assert re.match(r"update\.cuda_graph: doubling cannot .*\(CUDA error: .*is capturing\).*; set it to false", message)


def test_another_optimizer_is_captured_anew():
    tape = step_tape()
    module, optimizer = make_learner(tape=tape)
    for minibatch in minibatches(5):
        module.gradient_step(minibatch, optimizer)
    other = module.configure_optimizers()
    for minibatch in minibatches(5):
        module.gradient_step(minibatch, other)
    assert (tape.recorded, float(other.state[module.online_network.hidden.weight]["step"])) == (2, 5)


def test_a_captured_policy_acts_as_any_other():
    linear = torch.nn.Linear(12, 4)

    class Grey(torch.nn.Module):
        def forward(self, observation):
            return linear(observation.float().flatten(1))

    plain, captured = (ExploringPolicy(Grey(), 4, seed=3) for _ in range(2))
    captured._choose = Captured("acting", captured._best, CPU, lambda: Tape(torch.empty(5, dtype=torch.int64)))
    draw = torch.Generator().manual_seed(0)
    for policy in (plain, captured):
        policy.epsilon = 0.2
    for step in range(12):
        observation = torch.randint(0, 256, (5, 1, 3, 4), dtype=torch.uint8, generator=draw)
        plain.temperature = captured.temperature = 50.0 if step > 6 else 0.0
        assert torch.equal(plain.act(observation), captured.act(observation))


@pytest.mark.gpu
@pytest.mark.parametrize("changes", [*FAMILY, ["update.precision=bf16"]])
def test_a_cuda_graph_takes_the_steps_that_are_launched_one_by_one(changes, caplog):
    modules = [make_learner(*changes, "update.cuda_graph=false", device="cuda"), make_learner(*changes, device="cuda")]
    for step, minibatch in enumerate(minibatches(20, "cuda")):
        losses = []
        for module, optimizer in modules:
            torch.manual_seed(step)  # of noise
            losses.append(float(module.gradient_step(minibatch, optimizer)[0]))
        assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    assert not caplog.messages
    assert_same_weights([module for module, _ in modules], 1e-3)


@pytest.mark.gpu
def test_two_cuda_graphs_with_what_ranks_share_between_them_take_the_same_steps():
    modules = [make_learner("update.cuda_graph=false", device="cuda"), make_learner(device="cuda")]
    for module, _ in modules:
        module._mean = doubled
    modules[1][0]._take_step = CapturedStep(modules[1][0].step_parts)
    for minibatch in minibatches(20, "cuda"):
        losses = [float(module.gradient_step(minibatch, optimizer)[0]) for module, optimizer in modules]
        assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    assert_same_weights([module for module, _ in modules], 1e-3)


@pytest.mark.gpu
def test_work_that_waits_for_the_gpu_is_done_all_the_same(caplog):
    waits = Captured("waiting", lambda x: (x * float(x.sum().item()),), torch.device("cuda"))
    assert [float(waits(torch.tensor([float(n)], device="cuda"))[0]) for n in range(6)] == [0, 1, 4, 9, 16, 25]
    assert len(caplog.messages) == 1
    torch.rand(3, device="cuda", generator=torch.Generator("cuda"))  # as the replay draws
    doubles = Captured("doubling", lambda x: (2 * x,), torch.device("cuda"))
    assert [float(doubles(torch.tensor([float(n)], device="cuda"))[0]) for n in range(6)] == [0, 2, 4, 6, 8, 10]


@pytest.mark.gpu
def test_a_policy_on_a_gpu_acts_through_a_graph_as_without():
    torch.manual_seed(0)
    config = load_config("smoke", CHANGES)
    network, shape = make_module(config).to("cuda").acting_network, config.envs.observation_shape
    plain, captured = (ExploringPolicy(network, 3, 3, "cuda", is_captured=graph) for graph in (False, True))
    for policy in (plain, captured):
        policy.epsilon, policy.temperature = 0.2, 0.1
    for _ in range(12):
        observation = torch.randint(0, 256, (5, *shape), dtype=torch.uint8)
        assert torch.equal(plain.act(observation), captured.act(observation))


def test_inputs_are_copied_into_the_same_place():
    tape = step_tape()
    work = Captured("doubling", lambda minibatch, error: (minibatch, error * 2), CPU, lambda: tape)
    results = [work(torch.tensor(float(n)), torch.full((8,), float(n))) for n in range(6)]
    assert [float(results[-1][0]), float(results[-1][1][0])] == [5, 10]
    assert results[-1][0] is results[-2][0]


def test_inputs_of_other_shapes_are_captured_anew():
    tapes = [Tape(torch.empty(size)) for size in (2, 3)]
    work = Captured("doubling", lambda x: (2 * x,), CPU, iter(tapes).__next__)
    for size, calls in ((2, 5), (3, 6)):
        for n in range(calls):
            (result,) = work(torch.full((size,), float(n)))
            assert result.tolist() == [2.0 * n] * size
    assert [tape.replayed for tape in tapes] == [5 - CALLS_BEFORE, 6 - CALLS_BEFORE]
