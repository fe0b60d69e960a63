"""Rounds: literal tables, and one property test for every transport against a slow, obvious model."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import partial

import pytest
import torch

from rl_speed.config import EnvsConfig
from rl_speed.experience.generators import ray_actors
from rl_speed.experience.generators.actors import ActorGenerator
from rl_speed.experience.generators.memory import ActorMemory
from rl_speed.experience.generators.pipes import PipeTransport
from rl_speed.experience.generators.protocol import Answer, Order
from rl_speed.experience.generators.ray_actors import RayMemory, RayTransport
from rl_speed.experience.generators.rounds import FREE_RUNNING_SLOTS, LOCKED_SLOTS, RoundScheduler
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.system.ending import Ending
from rl_speed.system.ray_cluster import RayCluster
from rl_speed.system.stage_timer import StageTimer
from tests.experience.generators.fake_ray import FakeRay
from tests.experience.generators.scripted_actors import (
    RandomTransport,
    RecordingTransport,
    ScriptedActor,
    make_scripted,
)

ENVS = EnvsConfig(image_height=20, image_width=20)
NO_ANSWER = Answer((), {})

# --- literal tables ---


def make_rounds(num_actors=1, num_networks=1, num_slots=3):
    return RoundScheduler(num_actors, num_networks, num_slots, rollout_env_steps=5, num_envs=2)


def test_slots_and_rows_go_round():
    rounds = make_rounds()
    assert rounds.num_weights_rows == 3
    table = []
    for _ in range(3):
        rounds.take_back()
        while rounds.has_free_slot:
            ordered = rounds.order(0.5, 0.1)
            table.append((ordered.weights_row, *ordered.orders))
            rounds.record(0, NO_ANSWER)
        rounds.lend()
    assert table == [
        (0, Order(slot=0, weights_row=0, epsilon=0.5, temperature=0.1, env_steps=0, env_steps_stride=2)),
        (1, Order(slot=1, weights_row=1, epsilon=0.5, temperature=0.1, env_steps=10, env_steps_stride=2)),
        (2, Order(slot=2, weights_row=2, epsilon=0.5, temperature=0.1, env_steps=20, env_steps_stride=2)),
        (0, Order(slot=0, weights_row=0, epsilon=0.5, temperature=0.1, env_steps=30, env_steps_stride=2)),
        (1, Order(slot=1, weights_row=1, epsilon=0.5, temperature=0.1, env_steps=40, env_steps_stride=2)),
    ]


def test_actors_with_several_networks_act_with_older_rows():
    rounds = make_rounds(num_actors=4, num_networks=3, num_slots=4)
    assert rounds.num_weights_rows == 6
    rows = [[order.weights_row for order in rounds.order(0.0, 0.0).orders] for _ in range(4)]
    assert rows == [[0, 0, 0, 0], [1, 0, 0, 1], [2, 1, 0, 2], [3, 2, 1, 3]]


def test_a_round_is_complete_when_the_last_actor_has_answered():
    rounds = make_rounds(num_actors=2)
    assert not rounds.is_complete
    rounds.order(0.0, 0.0)
    rounds.order(0.0, 0.0)
    rounds.record(1, NO_ANSWER)
    rounds.record(1, NO_ANSWER)
    assert not rounds.is_complete
    rounds.record(0, NO_ANSWER)
    assert rounds.is_complete
    complete = rounds.lend()
    assert (complete.slot, complete.env_steps, len(complete.answers)) == (0, 10, 2)
    assert not rounds.is_complete


def test_a_lent_slot_is_not_ordered_before_it_is_back():
    rounds = make_rounds(num_slots=1)
    rounds.order(0.0, 0.0)
    rounds.record(0, NO_ANSWER)
    rounds.lend()
    assert not rounds.has_free_slot
    rounds.take_back()
    assert rounds.has_free_slot
    rounds.take_back()
    assert rounds.order(0.0, 0.0).orders[0].slot == 0
    assert not rounds.has_free_slot


def test_a_resumed_run_counts_on():
    rounds = make_rounds()
    rounds.resume(700)
    assert rounds.env_steps == 700
    assert [rounds.order(0.0, 0.0).orders[0].env_steps for _ in range(2)] == [700, 710]
    rounds.record(0, NO_ANSWER)
    assert rounds.lend().env_steps == rounds.env_steps == 710


def test_what_cannot_be_is_noticed():
    rounds = make_rounds()
    with pytest.raises(AssertionError, match="actor 0 answered without an order"):
        rounds.record(0, NO_ANSWER)
    rounds.order(0.0, 0.0)
    with pytest.raises(AssertionError, match="before all"):
        rounds.lend()
    with pytest.raises(AssertionError, match="after the first order"):
        rounds.resume(1)


# --- the property test ---


@dataclass(frozen=True)
class Setting:
    """A generator's numbers."""

    num_actors: int
    num_networks: int
    num_slots: int
    rollout_env_steps: int
    envs_per_actor: int
    env_steps_before: int = 0  # of the part of the run that is resumed

    @property
    def num_envs(self):
        return self.num_actors * self.envs_per_actor

    @property
    def env_steps_per_round(self):
        return self.num_envs * self.rollout_env_steps


def epsilon_of(call):
    return 1.0 / (2 + call)


def modelled_rounds(setting, calls):
    """Of each round the number of the caller's `next` that orders it: weights and epsilon are those of that call."""
    rounds = []
    for call in range(calls):
        # `call` rounds were lent before and are back; all slots are ordered.
        while len(rounds) - call < setting.num_slots:
            rounds.append(call)
    return rounds


def modelled_weights(setting, rounds, round_number, actor):
    """The number of the call whose weights an actor acts with in a round."""
    history = rounds[: round_number + 1]
    age = actor % setting.num_networks
    return history[-1 - age] if age < len(history) else history[0]


def check_orders(setting, orders, calls):
    """Compares all orders, in the order in which they were sent, with the model."""
    rounds = modelled_rounds(setting, calls)
    expected = [
        (actor, number % setting.num_slots, epsilon_of(call), setting.env_steps_before + number * per_round)
        for per_round in [setting.env_steps_per_round]
        for number, call in enumerate(rounds)
        for actor in range(setting.num_actors)
    ]
    assert [(actor, order.slot, order.epsilon, order.env_steps) for actor, order in orders] == expected
    assert {order.env_steps_stride for _, order in orders} == {setting.num_envs}


def check_rollout(setting, rollout, rounds, number):
    """Compares every cell of a rollout with the model."""
    first = setting.env_steps_before + number * setting.env_steps_per_round
    steps, envs = setting.rollout_env_steps, setting.num_envs
    env_steps = torch.tensor([[first + t * envs] * envs for t in range(steps)])
    weights = [float(modelled_weights(setting, rounds, number, env // setting.envs_per_actor)) for env in range(envs)]
    assert torch.equal(rollout.action, env_steps)
    assert rollout.reward.tolist() == [weights] * steps
    assert torch.equal(rollout.frame, (env_steps % 251).to(torch.uint8)[:, :, None, None].expand_as(rollout.frame))
    assert rollout.is_first.tolist() == [[t == 0] * envs for t in range(steps)]
    assert torch.equal(rollout.terminated, env_steps % 2 == 0)
    assert torch.equal(rollout.truncated, env_steps % 3 == 0)
    assert rollout.env_steps == first + setting.env_steps_per_round
    ends = [(end.env_steps, end.env, end.episode_return) for end in rollout.episode_ends]
    assert ends == sorted(
        (first + (-actor % steps + 1) * envs, actor * setting.envs_per_actor, epsilon_of(rounds[number]))
        for actor in range(setting.num_actors)
    )


def spoil(rollout):
    """Overwrites what was lent, as long as it is: what nobody writes anew shows."""
    for tensor in vars(rollout).values():
        if isinstance(tensor, torch.Tensor):
            tensor.fill_(True if tensor.dtype == torch.bool else 99)


def take_and_check(setting, generator, policy, calls, before_each, meanwhile):
    """Takes `calls` rollouts; lets the actors play on while each is lent, and sees that it stays what it was."""
    rounds = modelled_rounds(setting, calls)
    generator.load_state_dict({"env_steps": setting.env_steps_before})
    for call in range(calls):
        policy.epsilon = epsilon_of(call)
        policy.network.weight.data.fill_(float(call))
        before_each()
        rollout = next(generator)
        check_rollout(setting, rollout, rounds, call)
        assert generator.env_steps == rollout.env_steps == generator.state_dict()["env_steps"]
        # The online network goes on learning, which no actor may see before the next call.
        policy.network.weight.data.fill_(-1.0)
        meanwhile()
        check_rollout(setting, rollout, rounds, call)
        spoil(rollout)
        meanwhile()


def make_parts(setting):
    rounds = RoundScheduler(
        setting.num_actors, setting.num_networks, setting.num_slots, setting.rollout_env_steps, setting.num_envs
    )
    policy = ExploringPolicy(torch.nn.Linear(1, 1, bias=False), 2, seed=0)
    return rounds, policy, StageTimer()


SETTINGS = {
    "one_actor": Setting(1, 1, LOCKED_SLOTS, 3, 2),
    "two_actors": Setting(2, 1, LOCKED_SLOTS, 2, 1, env_steps_before=52),
    "networks": Setting(3, 2, LOCKED_SLOTS, 2, 2),
    "more_networks_than_actors": Setting(2, 5, LOCKED_SLOTS, 1, 1),
    "more_networks_than_slots": Setting(6, 5, LOCKED_SLOTS, 1, 1, env_steps_before=6),
    "free_running": Setting(2, 1, FREE_RUNNING_SLOTS, 2, 1),
    "free_running_networks": Setting(4, 3, FREE_RUNNING_SLOTS, 1, 2, env_steps_before=80),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_rounds_equal_the_model_however_fast_actors_are(name):
    setting, calls, orders_of_all = SETTINGS[name], 14, []
    for seed in range(100):
        dice = random.Random(seed)
        rounds, policy, timer = make_parts(setting)
        memory = ActorMemory.allocate(ENVS, rounds, policy.network)
        envs = setting.envs_per_actor
        actors = [ScriptedActor(index, envs, memory.of_actor(index, envs)) for index in range(setting.num_actors)]
        scripted = RandomTransport(actors, dice)
        transport = RecordingTransport(scripted)
        generator = ActorGenerator(rounds, memory, transport, policy, timer, Ending())

        def before_each(generator=generator, scripted=scripted, dice=dice):
            # A free-running learner asks first; where it is told yes, `next` does not wait.
            scripted.may_play = True
            if dice.random() < 0.5 and generator.is_ready():
                scripted.may_play = False

        take_and_check(setting, generator, policy, calls, before_each, scripted.play_on)
        check_orders(setting, transport.orders, calls)
        orders_of_all.append(transport.orders)
        assert timer.actor_seconds == pytest.approx({"act": 1.0 * calls, "env": 2.0 * calls})
        generator.close()
        assert scripted.is_closed
    assert all(orders == orders_of_all[0] for orders in orders_of_all)


@pytest.mark.parametrize("name", SETTINGS)
def test_rounds_equal_the_model_in_a_cluster_that_loses_actors(name, monkeypatch):
    monkeypatch.setattr(ray_actors, "MAX_LOSSES_IN_A_ROW", 1000)
    setting, calls, losses = SETTINGS[name], 14, 0
    for seed in range(20):
        dice = random.Random(seed)
        ray = FakeRay(dice, loss=0.1)
        rounds, policy, timer = make_parts(setting)
        memory = RayMemory(ENVS, rounds, ray.put)
        envs, steps = setting.envs_per_actor, setting.rollout_env_steps
        makers = [partial(make_scripted, index, envs, steps) for index in range(setting.num_actors)]
        transport = RecordingTransport(RayTransport(RayCluster(ray, lambda: None), makers, memory, 1, 60.0))
        generator = ActorGenerator(rounds, memory, transport, policy, timer, Ending())
        take_and_check(setting, generator, policy, calls, generator.is_ready, ray.play_on)
        # The caller's orders are the same as ever: what is sent again is the transport's own affair.
        check_orders(setting, transport.orders, calls)
        generator.close()
        assert all(handle.is_dead for handle in ray.handles)
        losses += ray.losses
    assert losses > 50


@pytest.mark.parametrize("name", ["networks", pytest.param("free_running_networks", marks=pytest.mark.slow)])
def test_rounds_equal_the_model_over_real_pipes(name):
    setting, calls = SETTINGS[name], 30
    rounds, policy, timer = make_parts(setting)
    memory = ActorMemory.allocate_shared(ENVS, rounds, policy.network)
    envs = setting.envs_per_actor
    makers = [
        partial(ScriptedActor, index, envs, memory.of_actor(index, envs), 0.003) for index in range(setting.num_actors)
    ]
    transport = RecordingTransport(PipeTransport(makers, timeout_seconds=60.0))
    generator = ActorGenerator(rounds, memory, transport, policy, timer, Ending())
    dice = random.Random(0)
    try:
        take_and_check(setting, generator, policy, calls, generator.is_ready, lambda: time.sleep(0.01 * dice.random()))
    finally:
        generator.close()
    check_orders(setting, transport.orders, calls)
    assert timer.actor_seconds == pytest.approx({"act": 1.0 * calls, "env": 2.0 * calls})
