"""Rollouts of actor processes on ale-py."""

import os
import signal
import threading
import time

import psutil
import pytest
import torch

from rl_speed.experience.generators.actors import start_actors
from rl_speed.experience.parts import Parts
from rl_speed.experience.policy import EpsilonGreedyPolicy
from rl_speed.learner.network import make_network
from rl_speed.system.errors import ActorError
from rl_speed.system.stage_timer import StageTimer


def make_actors(config, stop=None):
    torch.manual_seed(0)
    network = make_network(config.network, config.envs.observation_shape, 6)
    policy = EpsilonGreedyPolicy(network, 6, seed=0)
    seeds = [(10 + i, 20 + i) for i in range(config.actors.count)]
    return start_actors(config, Parts(), policy, seeds, 1, StageTimer(), stop or threading.Event())


def take(generator, count):
    for _ in range(count):
        next(generator)


@pytest.fixture
def two_actors(tiny_config):
    config = tiny_config(
        envs={"count": 2},
        actors={"kind": "subprocess", "count": 2, "rollout_env_steps": 4, "timeout_seconds": 30.0},
        replay={"capacity_env_steps": 2000, "prefill_env_steps": 200},
    )
    generator = make_actors(config)
    yield generator
    generator.close()


def test_actors_write_every_cell_of_a_rollout(two_actors):
    for round_number in range(1, 4):
        rollout = next(two_actors)
        assert rollout.env_steps == 16 * round_number
        assert rollout.action.shape == (4, 4)
        assert rollout.action.min() >= 0
        assert not rollout.reward.isnan().any()
        assert rollout.is_first.any() == (round_number == 1)
    # Different seeds: no two envs show the same.
    assert len({rollout.frame[:, e].numpy().tobytes() for e in range(4)}) > 1


def test_actors_act_with_the_online_networks_weights(two_actors):
    network = two_actors._policy.network
    two_actors._policy.epsilon = 0.0
    for favourite in (4, 1):
        with torch.no_grad():
            network.advantage.weight.zero_()
            network.advantage.bias.zero_()
            network.advantage.bias[favourite] = 1.0
        # Two rollouts are ordered with the weights before, and one step is chosen ahead.
        for _ in range(4):
            rollout = next(two_actors)
        assert rollout.action[1:].unique().tolist() == [favourite]


def test_closing_leaves_no_process(two_actors):
    next(two_actors)
    pids = two_actors._transport.process_ids
    assert len(pids) == 2
    two_actors.close()
    two_actors.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_killed_actor_is_reported_at_once(two_actors):
    next(two_actors)
    os.kill(two_actors._transport.process_ids[1], signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(ActorError, match="actor 1 was killed by signal 9"):
        take(two_actors, 5)
    assert time.monotonic() - start < 10


def test_a_failing_actor_sends_its_traceback(tiny_config):
    config = tiny_config(
        envs={"count": 2},
        actors={"kind": "subprocess"},
        replay={"capacity_env_steps": 2000, "prefill_env_steps": 200},
    )
    # model_copy does not validate: the actor meets a game that is not there.
    broken = config.model_copy(update={"envs": config.envs.model_copy(update={"game": "no_such_game"})})
    generator = make_actors(broken)
    with pytest.raises(ActorError, match="actor 0 failed; its traceback:\nTraceback"):
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
    deadline = time.monotonic() + 30
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


def test_waiting_ends_when_the_run_is_stopped(two_actors):
    two_actors._stop.set()
    with pytest.raises(StopIteration):
        take(two_actors, 100)


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
