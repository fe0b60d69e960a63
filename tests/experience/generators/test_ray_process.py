"""What an actor of Ray's does with the lives that it is told of."""

from functools import partial

import cloudpickle
import numpy as np
import pytest

import rl_speed
from rl_speed.config import EnvsConfig, NetworkConfig
from rl_speed.experience.generators import ray_process
from rl_speed.experience.generators.actor_process import ActorPlan
from rl_speed.experience.generators.protocol import Order
from rl_speed.experience.generators.ray_process import Failure, Played, RayActor, Ready, make_player
from rl_speed.experience.parts import Parts
from tests.experience.generators.scripted_actors import make_scripted

ORDER = Order(slot=2, weights_row=1, epsilon=0.5, temperature=0.1, env_steps=40, env_steps_stride=6)


@pytest.fixture
def seeds(monkeypatch):
    """Env seed and policy seed of an actor that was lost so often."""
    plans = []
    monkeypatch.setattr(ray_process, "RolloutActor", lambda plan, memory: plans.append(plan))
    plan = ActorPlan(
        index=1, parts=Parts(), envs=EnvsConfig(count=2), network=NetworkConfig(), rollout_env_steps=3, num_actions=6,
        env_seed=11, policy_seed=12, env_threads=1, threads=1, device="cpu", use_bf16=False, slow_grads=False,
        nice=False,
    )  # fmt: skip

    def seeds_of(losses):
        _, memory = make_player(plan, 7, losses)
        assert memory.space.frame.shape == (1, 3, 2, 84, 84)
        assert memory.weights.shape == (1, 7)
        return plans[-1].env_seed, plans[-1].policy_seed

    return seeds_of


def test_every_life_has_seeds_of_its_own_and_always_the_same(seeds):
    assert seeds(0) == (11, 12)
    lives = [seeds(losses) for losses in range(20)]
    assert len({seed for pair in lives for seed in pair}) == 40
    assert lives == [seeds(losses) for losses in range(20)]
    assert all(0 <= seed < 2**31 for pair in lives for seed in pair)


def make_actor(version=rl_speed.__version__):
    return RayActor(cloudpickle.dumps(partial(make_scripted, 1, 2, 3)), version)


def test_an_order_is_carried_out_with_its_weights():
    actor = make_actor()
    assert isinstance(actor.prepare(0), Ready)
    played = actor.play(0, ORDER, np.array([7.0], dtype=np.float32))
    assert isinstance(played, Played)
    assert played.rollout["action"].tolist() == [[40, 40], [46, 46], [52, 52]]
    assert (played.rollout["reward"] == 7.0).all()
    assert [end.env for end in played.answer.episode_ends] == [2]


def test_orders_of_other_lives_are_left_alone():
    weights = np.zeros(1, dtype=np.float32)
    actor = make_actor()
    assert actor.play(0, ORDER, weights) is None
    actor.prepare(1)
    assert actor.play(0, ORDER, weights) is None
    assert actor.play(2, ORDER, weights) is None
    assert isinstance(actor.play(1, ORDER, weights), Played)


def test_games_are_closed_before_they_begin_anew():
    actor = make_actor()
    actor.prepare(0)
    closed = []
    actor._actor.close = lambda: closed.append(True)
    actor.prepare(1)
    assert closed == [True]


def test_a_learner_of_another_version_is_told():
    said = make_actor("0.0").prepare(0)
    assert isinstance(said, Failure)
    assert said.sentence.startswith(f"rl_speed {rl_speed.__version__} is installed on ")
    assert said.sentence.endswith("0.0 where the learner runs; install the same everywhere")


def test_an_exception_is_text():
    actor = make_actor()
    actor.prepare(0)
    said = actor.play(0, ORDER, np.zeros(3, dtype=np.float32))  # weights of another network
    assert isinstance(said, Failure)
    assert said.sentence is None
    assert "could not broadcast" in said.traceback
