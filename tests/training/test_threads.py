"""The defaults add up to the cores that there are."""

import pytest

from rl_speed.config import load_config
from rl_speed.system.cores import Cores
from rl_speed.training.probe import shard_counts
from rl_speed.training.threads import plan_threads


@pytest.mark.parametrize(
    ("preset", "overrides", "cores", "learner", "env"),
    [
        ("baseline", [], 2, 2, 1),  # games and learner take turns in one thread
        ("smoke", [], 2, 1, 1),
        ("smoke", [], 8, 4, 4),
        ("smoke", ["envs.threads=1"], 4, 3, 1),
        ("smoke", ["envs.threads=2"], 2, 1, 2),
        ("parallel", [], 2, 2, 1),  # its actor waits most of the time
        ("actors", [], 2, 2, 1),
        ("actors", [], 8, 8, 1),
        ("actors", ["update.env_steps_per_gradient_step=24"], 8, 6, 1),
        ("atari", [], 2, 1, 1),  # two parts, one on the core of the actor
        ("atari", ["update.env_steps_per_gradient_step=100"], 2, 1, 1),
        ("fast_cpu", [], 1, 1, 1),
        ("fast_cpu", [], 2, 1, 1),
        ("fast_cpu", [], 64, 4, 1),
        ("fast_cpu", ["update.threads=2"], 8, 2, 1),
    ],
)
def test_threads(preset, overrides, cores, learner, env):
    config = load_config(preset, overrides)
    plan = plan_threads(config, Cores(cores, cores, ""))
    shards = config.update.shards
    if shards == "auto":  # two parts where there are cores for them, as in the measurements behind the recipe
        shards = min(2, shard_counts(config.update.batch_size, plan.learner_cores)[-1])
    assert (plan.of_each_shard(config.update, shards), plan.env) == (learner, env)


@pytest.mark.parametrize(
    ("preset", "cores", "left"),
    [
        ("fast_cpu", 2, -1),
        ("atari", 2, -1),
        ("fast_cpu", 16, 7),
        ("baseline", 2, 0),
        ("smoke", 2, 0),
        ("actors", 2, -2),
    ],
)
def test_where_games_are_played_on_the_learners_cores_none_are_left(preset, cores, left):
    assert plan_threads(load_config(preset), Cores(cores, cores, "")).left == left


def test_players_in_a_cluster_take_cores_where_they_are():
    asked = ["actors.kind=ray", "update.env_steps_per_gradient_step=24"]
    here = plan_threads(load_config("actors", asked), Cores(8, 8, ""))
    assert (here.learner_cores, here.env) == (6, 1)
    elsewhere = plan_threads(load_config("actors", [*asked, "actors.address=auto"]), Cores(8, 8, ""))
    assert (elsewhere.learner_cores, elsewhere.env) == (8, 1)
    assert elsewhere.reason.endswith("2 players in a Ray cluster, nobody knows on which machines")


def test_arithmetic_goes_by_cores_and_games_by_hardware_threads():
    plan = plan_threads(load_config("smoke", ["envs.count=16"]), Cores(8, 4, ""))
    assert (plan.learner_cores, plan.env) == (4, 4)


def test_a_learner_that_draws_on_the_cpu_keeps_half_of_the_cores():
    plan = plan_threads(load_config("fast_gpu", ["replay.device=pinned"]), Cores(16, 16, ""))
    assert (plan.env, plan.learner_cores) == (8, 8)


def test_beside_a_learner_on_a_gpu_games_have_all_cores_but_one():
    for cores, threads in ((16, 15), (2, 1), (1, 1), (128, 64)):
        plan = plan_threads(load_config("fast_gpu"), Cores(cores, cores, ""))
        assert (plan.env, plan.learner_cores) == (threads, min(8, max(1, cores - threads)))


def test_sixty_four_cores_are_not_all_spun_on():
    plan = plan_threads(load_config("fast_cpu"), Cores(128, 64, ""))
    assert plan.learner_cores == 8
    assert shard_counts(256, plan.learner_cores) == [1, 2, 4, 8]


def test_parts_of_a_minibatch_divide_it():
    assert shard_counts(96, 64) == [1, 2, 4, 8]
    assert shard_counts(36, 64) == [1, 2, 4]
    assert shard_counts(256, 1) == [1]
