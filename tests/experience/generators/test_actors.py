"""Rollouts of actor processes on ale-py."""

import copy
import os
import signal
import time

import psutil
import pytest
import torch

from rl_speed.config import merge, validate
from rl_speed.experience.generators.actors import start_actors
from rl_speed.experience.parts import Parts
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.learner.network import make_network
from rl_speed.system.ending import Ending
from rl_speed.system.errors import ActorError
from rl_speed.system.stage_timer import StageTimer
from tests.command_line import HANG_SECONDS
from tests.conftest import TINY


def make_actors(config, stop=None, parts=None):
    torch.manual_seed(0)
    network = make_network(config.network, config.envs.observation_shape, 6)
    policy = ExploringPolicy(network, 6, seed=0)
    seeds = [(10 + i, 20 + i) for i in range(config.actors.count)]
    return start_actors(config, parts or Parts(), policy, seeds, 1, StageTimer(), Ending(stop))


def take(generator, count):
    for _ in range(count):
        next(generator)


def actors_config(count):
    changes = {
        "envs": {"count": 2},
        "actors": {
            "kind": "subprocess", "count": count, "rollout_env_steps": 4, "timeout_seconds": float(HANG_SECONDS),
        },
        "replay": {"capacity_env_steps": 2000, "prefill_env_steps": 200},
    }  # fmt: skip
    return validate(merge(TINY, changes))


@pytest.fixture
def two_actors():
    """Two actors for a test that stops or kills them."""
    generator = make_actors(actors_config(2))
    yield generator
    generator.close()


@pytest.fixture(scope="module")
def played():
    """Two actors that stay alive for all tests that only play with them, and copies of their first rollouts."""
    generator = make_actors(actors_config(2))
    generator._policy.epsilon = 1.0
    yield generator, [copy.deepcopy(next(generator)) for _ in range(3)]
    generator.close()


def test_actors_write_every_cell_of_a_rollout(played):
    for round_number, rollout in enumerate(played[1], 1):
        assert rollout.env_steps == 16 * round_number
        assert rollout.action.shape == (4, 4)
        assert rollout.action.min() >= 0
        assert not rollout.reward.isnan().any()
        assert rollout.is_first.any() == (round_number == 1)
    # Different seeds: no two envs show the same.
    assert len({rollout.frame[:, e].numpy().tobytes() for e in range(4)}) > 1


def test_actors_act_with_the_online_networks_weights(played):
    generator = played[0]
    network = generator._policy.network
    generator._policy.epsilon = 0.0
    for favourite in (4, 1):
        with torch.no_grad():
            network.advantage.weight.zero_()
            network.advantage.bias.zero_()
            network.advantage.bias[favourite] = 1.0
        # Two rollouts are ordered with the weights before, and one step is chosen ahead.
        for _ in range(4):
            rollout = next(generator)
        assert rollout.action[1:].unique().tolist() == [favourite]


def test_actors_act_with_the_temperature(played):
    generator = played[0]
    network = generator._policy.network
    generator._policy.epsilon, generator._policy.temperature = 0.0, 100.0
    with torch.no_grad():
        network.advantage.weight.zero_()
        network.advantage.bias.copy_(torch.arange(6.0))
    actions = torch.cat([next(generator).action.clone() for _ in range(8)][4:])
    generator._policy.temperature = 0.0
    assert len(actions.unique()) == 6


def test_closing_leaves_no_process():
    generator = make_actors(actors_config(1))
    next(generator)
    (pid,) = generator._transport.process_ids
    generator.close()
    generator.close()
    assert not psutil.pid_exists(pid)


def test_a_killed_actor_is_reported_at_once(two_actors):
    next(two_actors)
    os.kill(two_actors._transport.process_ids[1], signal.SIGKILL)
    with pytest.raises(ActorError, match="actor 1 was killed by signal 9"):
        take(two_actors, 5)
    pids = two_actors._transport.process_ids
    two_actors.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_failing_actor_sends_its_traceback(tiny_config):
    config = tiny_config(
        envs={"count": 2},
        actors={"kind": "subprocess"},
        replay={"capacity_env_steps": 2000, "prefill_env_steps": 200},
    )

    def break_down():
        raise ValueError("no such level")

    generator = make_actors(config, parts=Parts(own_env=break_down))
    with pytest.raises(ActorError, match=r"actor 0 failed; its traceback:\nTraceback[\s\S]*ValueError: no such level"):
        next(generator)
    generator.close()


@pytest.mark.slow
def test_a_silent_actor_is_given_up(two_actors):
    next(two_actors)
    two_actors._transport.patience.limit_seconds = 0.5
    os.kill(two_actors._transport.process_ids[0], signal.SIGSTOP)
    with pytest.raises(ActorError, match="actor 0 has not answered"):
        take(two_actors, 5)
    os.kill(two_actors._transport.process_ids[0], signal.SIGCONT)


@pytest.mark.slow
def test_a_free_running_learner_does_not_wait(tiny_config):
    config = tiny_config(
        envs={"count": 2},
        actors={"kind": "subprocess", "count": 2, "free_running": True},
        replay={"capacity_env_steps": 2000, "prefill_env_steps": 200},
    )
    generator = make_actors(config)
    take(generator, 3)
    deadline = time.monotonic() + HANG_SECONDS
    while not generator.is_ready() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert generator.is_ready()
    os.kill(generator._transport.process_ids[0], signal.SIGSTOP)
    # What was ordered ahead can still be taken; then the learner is told that nothing is ready.
    for _ in range(20):
        if generator.is_ready():
            next(generator)
    assert not generator.is_ready()
    os.kill(generator._transport.process_ids[0], signal.SIGCONT)
    generator.close()


@pytest.mark.parametrize("reason", ["interrupted", "max_seconds"])
def test_waiting_ends_when_the_run_has_to(played, monkeypatch, reason):
    generator = played[0]
    monkeypatch.setattr(type(generator._ending), "reason", reason)
    with pytest.raises(StopIteration):
        take(generator, 100)


@pytest.mark.slow
def test_a_run_with_actors_does_not_depend_on_who_was_faster(tiny_config):
    config = tiny_config(
        envs={"count": 2},
        actors={"kind": "subprocess", "count": 2, "rollout_env_steps": 4},
        replay={"capacity_env_steps": 2000, "prefill_env_steps": 200},
    )
    frames = []
    for delay in (0.0, 0.05):
        generator = make_actors(config)
        generator._policy.epsilon = 0.3
        collected = []
        for _ in range(6):
            rollout = next(generator)
            collected.append((rollout.frame.clone(), rollout.action.clone()))
            time.sleep(delay)
        frames.append(collected)
        generator.close()
    for first, second in zip(*frames, strict=True):
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])
