"""A rank's share of a configuration."""

import pytest

from rl_speed.config import load_config, rank_share


def test_one_rank_has_all():
    config = load_config("fast_cpu")
    assert rank_share(config) is config


@pytest.mark.parametrize(("ranks", "actors", "envs"), [(2, 1, 8), (4, 1, 4)], ids=["two", "four"])
def test_the_envs_of_one_actor_are_dealt_out(ranks, actors, envs):
    config = load_config("fast_cpu", {"trainer.devices": ranks})
    share = rank_share(config)
    assert (share.actors.count, share.envs.count) == (actors, envs)
    assert share.total_envs * ranks == config.total_envs
    assert share.update.batch_size * ranks == config.update.batch_size
    assert share.replay.prefill_env_steps * ranks == config.replay.prefill_env_steps
    assert share.replay.capacity_env_steps * ranks == config.replay.capacity_env_steps
    for section in ("update", "annealing"):
        of_rank, of_all = (getattr(each, section).env_steps_per_gradient_step for each in (share, config))
        assert of_rank * ranks == of_all
    # What is compared with counts of the whole run stays.
    assert (share.stop, share.exploration, share.network) == (config.stop, config.exploration, config.network)


def test_many_actors_are_dealt_out_whole():
    config = load_config("fast_cpu", {"trainer.devices": 2, "actors.count": 4, "envs.count": 4, "actors.networks": 2})
    share = rank_share(config)
    assert (share.actors.count, share.envs.count, share.actors.networks) == (2, 4, 2)


def test_a_ring_has_as_many_rows_on_each_rank_whatever_the_capacity():
    config = load_config("fast_cpu", {"trainer.devices": 2, "replay.capacity_env_steps": 300_007})
    share = rank_share(config)
    assert share.replay.capacity_env_steps // share.total_envs == 300_007 // config.total_envs
