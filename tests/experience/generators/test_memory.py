"""Memory that learner and actors share: how much it takes, and what is said where there is less."""

import mmap
from functools import partial

import pytest
import torch

from rl_speed.experience.generators import memory as memory_module
from rl_speed.experience.generators.actors import check_shared_memory
from rl_speed.experience.generators.memory import ActorMemory, flat_weights, load_flat_weights, shared_bytes
from rl_speed.experience.generators.rounds import LOCKED_SLOTS, RoundScheduler
from rl_speed.experience.parts import Parts
from rl_speed.learner.network import make_network
from rl_speed.system.errors import ConfigError


@pytest.fixture
def parts(tiny_config):
    config = tiny_config(actors={"kind": "subprocess", "count": 2, "networks": 2, "rollout_env_steps": 3})
    rounds = RoundScheduler(2, 2, 3, 3, config.total_envs)
    return config, rounds, make_network(config.network, config.envs.observation_shape, 6)


def test_the_bytes_are_counted_before_they_are_taken(parts):
    config, rounds, network = parts
    memory = ActorMemory.allocate_shared(config.envs, rounds, network)
    tensors = [*memory.space.tensors().values(), memory.weights]
    assert all(tensor.is_shared() for tensor in tensors)
    taken = shared_bytes(config.envs, rounds, flat_weights(network).numel())
    # Of each tensor's last page a part may be left over.
    assert taken % mmap.PAGESIZE == 0
    assert 0 <= taken - sum(tensor.nbytes for tensor in tensors) < len(tensors) * mmap.PAGESIZE
    assert memory.weights.shape == (4, flat_weights(network).numel())


def test_weights_arrive_as_they_were_published(parts):
    config, rounds, network = parts
    memory = ActorMemory.allocate(config.envs, rounds, network)
    other = make_network(config.network, config.envs.observation_shape, 6)
    memory.publish(2, other)
    assert torch.equal(memory.weights[0], flat_weights(network))
    load_flat_weights(network, memory.weights[2])
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("ranks", [1, 3])
def test_too_little_shared_memory_is_one_sentence(ranks, parts, monkeypatch):
    config, _, network = parts
    rounds = RoundScheduler(2, 2, LOCKED_SLOTS, 3, config.total_envs)
    needed = ranks * shared_bytes(config.envs, rounds, flat_weights(network).numel())
    check = partial(check_shared_memory, config, Parts(), 6, "cpu", ranks)
    before = torch.get_rng_state()
    for free in (needed, None):
        monkeypatch.setattr(memory_module, "shared_memory_free_bytes", lambda free=free: free)
        check()
    assert torch.equal(before, torch.get_rng_state())
    monkeypatch.setattr(memory_module, "shared_memory_free_bytes", lambda: needed - 1)
    with pytest.raises(ConfigError) as caught:
        check()
    message = str(caught.value)
    for part in (f"need {needed / 1e6:,.1f} MB", "are free in /dev/shm", "--shm-size", "actors.kind=in_process"):
        assert part in message
    assert "\n" not in message
