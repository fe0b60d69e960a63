"""The gradient step: several in one training_step, and in parts on several cores."""

import pytest
import torch

from rl_speed.config import load_config
from rl_speed.records import Batch
from rl_speed.system.errors import ConfigError
from tests.conftest import make_module
from tests.learner.batches import make_batch

CHANGES = ["update.batch_size=8", "envs.image_height=42", "envs.image_width=42", "update.shards=1"]


def make_learner(*changes):
    torch.manual_seed(0)
    module = make_module(load_config("smoke", [*CHANGES, *changes]))
    optimizer = torch.optim.SGD(module.online_network.parameters(), lr=0.1)
    module.optimizers = lambda: optimizer
    return module


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.online_network.parameters()])


def test_a_second_gradient_step_under_autocast_uses_the_weights_of_the_first():
    batch = make_batch(2)
    together, apart = make_learner("update.precision=bf16"), make_learner("update.precision=bf16")
    losses = together.training_step(batch, 0)["loss"]
    for n in range(2):
        part = Batch(**{name: getattr(batch, name)[n : n + 1] for name in batch.__dataclass_fields__})
        assert apart.training_step(part, n)["loss"][0] == losses[n]
    assert torch.equal(weights(together), weights(apart))


@pytest.mark.parametrize(("shards", "first"), [(2, "auto"), (4, "auto"), (2, 0.7), (4, 0.1)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_shards_give_the_gradient_of_the_whole(shards, first, precision):
    batch = make_batch(2)
    in_precision = f"update.precision={precision}"
    in_parts = (f"update.shards={shards}", f"update.first_shard={first}")
    whole, parts = make_learner(in_precision), make_learner(*in_parts, in_precision)
    expected, found = whole.training_step(batch, 0), parts.training_step(batch, 0)
    tolerance = 1e-5 if precision == "fp32" else 2e-2
    torch.testing.assert_close(found["td_error"], expected["td_error"], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found["loss"], expected["loss"], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("changes", [["network.value=quantile"], ["network.value=categorical", "network.noisy=true"]])
def test_shards_share_noise_and_learn_distributions_as_the_whole(changes):
    gradients = []
    for shards in (1, 2):
        module = make_learner(*changes, f"update.shards={shards}", "network.atoms=9", "network.quantiles=5")
        torch.manual_seed(7)
        loss, error = module.gradient_step(make_batch(1).minibatch(0), module.optimizers())
        gradients.append([loss[None], error, *(p.grad for p in module.online_network.parameters())])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("shards", "first", "sizes"),
    [
        (1, "auto", [8]),
        (2, "auto", [4, 4]),
        (2, 0.7, [6, 2]),
        (4, "auto", [2] * 4),
        (4, 0.1, [1, 2, 3, 2]),
    ],
)
def test_the_first_part_may_be_another_size_than_the_others(shards, first, sizes):
    config = load_config("smoke", [*CHANGES, f"update.shards={shards}", f"update.first_shard={first}"])
    assert config.update.shard_sizes(8) == sizes


def test_shards_that_do_not_fit_are_refused():
    for change in ("update.shards=3", "update.compile=true"):
        with pytest.raises(ConfigError, match=r"update\.shards = \d must divide update\.batch_size = 8"):
            load_config("smoke", [*CHANGES, "update.shards=2", change])


def test_precision_belongs_to_the_update_and_no_weight_is_left_out():
    batch = make_batch(1).minibatch(0)
    gradients = []
    for precision in ("fp32", "bf16"):
        for fused in ("true", "false"):
            module = make_learner(f"update.precision={precision}", f"network.fused={fused}")
            module.gradient(batch, list(module.online_network.parameters()))
            gradients.append(torch.cat([p.grad.flatten() for p in module.online_network.parameters()]))
    reference = gradients[0]
    assert all(bool(gradient.abs().sum() > 0) for gradient in gradients)
    torch.testing.assert_close(gradients[1], reference, rtol=1e-4, atol=1e-5)
    for gradient in gradients[2:]:
        assert torch.linalg.vector_norm(gradient - reference) < 0.05 * torch.linalg.vector_norm(reference)
        assert not torch.equal(gradient, reference)


def followed(module, follower, rate):
    """A bias of a network after training_step, and what it is if it follows the online one after each gradient step."""
    bias, optimizer, online = follower.advantage.bias, module.optimizers(), module.online_network.advantage.bias
    expected, plain_step = bias.detach().clone(), optimizer.step

    def step():
        plain_step()
        expected.lerp_(online.detach(), rate)

    optimizer.step = step
    module.training_step(make_batch(3), 0)
    assert not torch.equal(expected, online)
    return bias, expected


def test_a_soft_sync_follows_every_gradient_step():
    module = make_learner("update.target_sync_rate=0.25", "update.gradient_steps_per_batch=3")
    assert torch.allclose(*followed(module, module.target_network, 0.25))


def test_an_average_of_the_weights_acts_and_learns_nothing_itself():
    module = make_learner("update.averaging_rate=0.25")
    target = module.target_network.advantage.bias.detach().clone()
    assert torch.equal(module.acting_network.advantage.bias, module.online_network.advantage.bias)
    assert torch.allclose(*followed(module, module.acting_network, 0.25))
    assert not module.acting_network.advantage.bias.requires_grad
    assert torch.equal(module.target_network.advantage.bias, target)


def test_without_averaging_the_online_network_acts():
    module = make_learner()
    assert module.acting_network is module.online_network
    assert not [name for name in module.state_dict() if name.startswith("average")]


def test_without_a_rate_no_gradient_step_touches_the_target():
    module = make_learner()
    before = module.target_network.advantage.bias.detach().clone()
    module.training_step(make_batch(2), 0)
    assert torch.equal(module.target_network.advantage.bias, before)


@pytest.mark.parametrize("fused", ["true", "false"])
def test_double_takes_the_choice_of_the_online_network(fused):
    module = make_learner(f"network.fused={fused}", "update.double=true", "update.loss=mse")
    # The online network prefers action 2 everywhere, the target network action 0.
    with torch.no_grad():
        for network, favourite in ((module.online_network, 2), (module.target_network, 0)):
            network.advantage.bias[favourite] += 100.0
    batch = make_batch(1).minibatch(0)
    value = module.target_network(batch.next_observation)
    target = batch.n_step_return + batch.bootstrap_discount * value[:, 2]
    chosen = module.online_network(batch.observation).gather(1, batch.action[:, None]).squeeze(1)
    _, error = module.loss(batch)
    torch.testing.assert_close(error, ((target - chosen).abs() * batch.is_valid).detach(), rtol=1e-4, atol=1e-3)


def test_a_weight_that_is_used_twice_is_synced_once():
    class Tied(torch.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.a = torch.nn.Linear(1, 1, bias=False)
            self.a.weight.data.fill_(value)
            self.b = self.a

    module = make_learner()
    module.online_network, module.target_network = Tied(1.0), Tied(0.0)
    module.sync_target(0.5)
    assert module.target_network.a.weight.item() == 0.5


def test_every_gradient_step_draws_noise_of_its_own_in_both_networks():
    module = make_learner("network.noisy=true")
    before = [network.hidden.noise_out.clone() for network in (module.online_network, module.target_network)]
    drawn = []
    plain = module.gradient

    def gradient(*arguments):
        drawn.append([n.hidden.noise_out.clone() for n in (module.online_network, module.target_network)])
        return plain(*arguments)

    module.gradient = gradient
    module.training_step(make_batch(2), 0)
    seen = [*before[:1], *drawn[0], *drawn[1]]
    assert all(not torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


@pytest.mark.parametrize("value", ["expected", "categorical", "quantile"])
def test_a_distribution_is_learned_for_the_action_that_was_taken(value):
    module = make_learner(f"network.value={value}", "network.quantiles=5", "network.atoms=6", "network.dueling=false")
    batch = make_batch(1).minibatch(0)
    loss, error = module.loss(batch)
    loss.backward()
    width = {"expected": 1, "categorical": 6, "quantile": 5}[value]
    gradient = module.online_network.advantage.weight.grad.view(-1, width, 64).abs().sum((1, 2))
    taken = set(batch.action[batch.is_valid].tolist())
    assert {action for action, size in enumerate(gradient.tolist()) if size > 0} == taken
    assert error.shape == batch.action.shape
    assert not error[~batch.is_valid].any()


def test_munchausen_looks_at_the_observation_with_the_target_network():
    module = make_learner("update.munchausen=0.9", "update.double=false", "update.entropy_temperature=0.5")
    with torch.no_grad():
        module.target_network.advantage.bias[1] += 1.0  # what the online network does not know
    batch = make_batch(1).minibatch(0)
    target, online = module.target_network, module.online_network
    log_policy = (target(batch.observation) / 0.5).log_softmax(1).gather(1, batch.action[:, None]).squeeze(1)
    value = 0.5 * (target(batch.next_observation) / 0.5).logsumexp(1)
    expected = batch.n_step_return + 0.9 * (0.5 * log_policy).clamp(-1, 0) + batch.bootstrap_discount * value
    chosen = online(batch.observation).gather(1, batch.action[:, None]).squeeze(1)
    _, error = module.loss(batch)
    torch.testing.assert_close(error, ((expected - chosen).abs() * batch.is_valid).detach(), rtol=1e-4, atol=1e-4)


def test_parameters_that_are_frozen_stay_as_they_are():
    module = make_learner()
    first = next(module.online_network.parameters()).requires_grad_(False)
    optimizer = module.configure_optimizers()
    module.optimizers = lambda: optimizer
    before, rest = first.clone(), weights(module)
    module.training_step(make_batch(2), 0)
    assert torch.equal(first, before)
    assert not torch.equal(weights(module), rest)
