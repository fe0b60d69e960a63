"""Contestants: each can be configured, and does the work that it is compared by."""

from rl_speed.bench import contestants
from rl_speed.bench.contestants import Contestant, measured_config


def everyone():
    sweeps = [contestants.envs_point(8, kind) for kind in ("train", "play")]
    sweeps += contestants.actors_points() + contestants.wrappers_points()
    sweeps += contestants.devices_points(0, 8) + contestants.devices_points(2, 8)
    return contestants.ladder(gpu=True) + sweeps + contestants.peers() + contestants.env_only()


def test_every_contestant_can_be_configured():
    everybody = everyone()
    assert len({(c.name, c.group) for c in everybody}) == len(everybody)
    for contestant in everybody:
        if contestant.kind == "script":
            assert (contestants.peers_directory() / contestant.script).is_file()
            continue
        config = measured_config(contestant)
        # Measured at the final epsilon: acting is free while actions are random.
        assert config.exploration.decay_env_steps == 1
        assert config.replay.prefill_env_steps <= max(20_000, 20 * config.total_envs)
    names = [c.name for c in contestants.ladder(gpu=False)]
    assert {"slow_grads", "baseline", "n_envs", "parallel", "actors", "fast_cpu"} <= set(names)
    assert "fast_gpu" not in names


def test_sweeps_keep_the_work_per_env_step():
    for point in [contestants.envs_point(8, "train"), *contestants.actors_points()[:7]]:
        config = measured_config(point)
        assert config.update.batch_size / config.update.env_steps_per_gradient_step == 32
        assert config.total_envs == config.update.env_steps_per_gradient_step


def test_a_file_named_as_a_preset_does_not_pass_for_it():
    assert contestants.rung("baseline").name == "baseline"
    assert contestants.rung("mine/other.yaml").name == "other"
    assert contestants.rung("mine/baseline.yaml").name == "mine/baseline.yaml"


def test_a_missing_peer_is_one_sentence():
    peer = Contestant("x", "peers", "script", needs="no_such_module_at_all")
    assert "no_such_module_at_all" in peer.missing()
    assert "pip install" in peer.missing()
