"""The measured process: it counts its window and nothing else."""

import time

import pytest
import torch

from rl_speed.bench.contestants import Contestant, measured_config
from rl_speed.bench.measure.child import measure_env, measure_play, measure_solve
from rl_speed.bench.measure.training import measure_train, plan_as_asked, saved_bytes
from rl_speed.config import load_config
from rl_speed.system.compiler import find_compiler
from rl_speed.system.errors import ConfigError


def silent(phase):
    pass


def test_saved_bytes_counts_what_backward_needs():
    weight = torch.ones(10, 10, requires_grad=True)
    image = torch.ones(5, 10)

    def function():
        return (image @ weight).exp()  # keeps the image for the weight, and the result of exp

    assert saved_bytes(function) == 4 * (50 + 50)
    with torch.no_grad():
        assert saved_bytes(function) == 0


def test_a_train_window_counts_only_itself(tiny_file, tmp_path):
    config = measured_config(Contestant("tiny", "ladder", "train", tiny_file))
    threads = torch.get_num_threads()
    before = time.time()
    result = measure_train(config, "tiny", {"seconds": 0.4, "warmup_seconds": 0.2, "folder": str(tmp_path)}, silent)
    torch.set_num_threads(threads)
    assert result["seconds"] >= 0.4
    assert before < result["window"][0] < result["window"][1] <= time.time()
    ratio = config.update.env_steps_per_gradient_step
    assert result["env_steps"] == pytest.approx(result["gradient_steps"] * ratio, abs=2 * ratio + 2)
    assert result["prefill"]["env_steps"] >= config.replay.prefill_env_steps
    assert result["warmup_seconds"] >= 0.2
    assert sum(result["time_shares"].values()) == pytest.approx(1, abs=0.05)
    assert result["time_shares"]["update"] > 0.05
    assert result["saved_for_backward_bytes"]["act"] == 0
    assert result["saved_for_backward_bytes"]["update"] > 0


@pytest.mark.slow
def test_ranks_are_measured_together(tiny_file, tmp_path):
    config = measured_config(Contestant("tiny", "devices", "train", tiny_file, ("trainer.devices=2", "envs.count=2")))
    threads = torch.get_num_threads()
    result = measure_train(config, "tiny", {"seconds": 0.4, "warmup_seconds": 0.2, "folder": str(tmp_path)}, silent)
    torch.set_num_threads(threads)
    ratio = config.update.env_steps_per_gradient_step
    assert result["plan"]["world_size"] == 2
    # Env steps of both ranks, gradient steps that they take together.
    assert result["env_steps"] == pytest.approx(result["gradient_steps"] * ratio, abs=2 * ratio + 2)
    assert result["time_shares"]["reduce"] > 0.01


def test_slow_grads_keep_the_graphs_of_acting_and_target(tiny_file, tmp_path):
    config = measured_config(Contestant("tiny", "ladder", "train", tiny_file))
    slow = config.model_copy(update={"update": config.update.model_copy(update={"slow_grads": True})})
    threads = torch.get_num_threads()
    spec = {"seconds": 0.05, "warmup_seconds": 0.0, "folder": str(tmp_path)}
    kept = [measure_train(c, "tiny", spec, silent)["saved_for_backward_bytes"] for c in (config, slow)]
    torch.set_num_threads(threads)
    assert kept[0]["act"] == 0 < kept[1]["act"]
    assert kept[1]["update"] > kept[0]["update"]


@pytest.mark.parametrize("kind", [measure_play, measure_env])
def test_playing_without_learning(tiny_file, kind):
    threads = torch.get_num_threads()
    config = measured_config(Contestant("tiny", "envs", "play", tiny_file))
    result = kind(config, {"seconds": 0.2, "warmup_seconds": 0.05})
    torch.set_num_threads(threads)
    assert result["env_steps"] > 0
    assert result["env_steps"] % config.envs.count == 0
    assert result["gradient_steps"] == 0


def test_a_rung_that_would_run_as_something_else_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    find_compiler.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"envs\.backend would be ale_vector here, so this rung is not measured"):
            plan_as_asked(load_config("native"))
    finally:
        find_compiler.cache_clear()


def test_a_run_to_the_goal_is_the_configuration_with_its_seed_and_limit(monkeypatch, tmp_path):
    asked = {}

    def run_with_curve(config, preset, console, announce, started):
        asked.update(config=config, preset=preset, started=started)
        return {}

    monkeypatch.setattr("rl_speed.bench.measure.curve.run_with_curve", run_with_curve)
    config = load_config("smoke", ["update.batch_size=16"]).model_dump(mode="json")
    spec = {
        "config": config,
        "preset": "mine",
        "seed": 7,
        "limit_seconds": 30.0,
        "folder": str(tmp_path),
        "started": 1.0,
    }
    measure_solve(spec)
    made = asked["config"]
    assert (made.seed, made.stop.max_seconds, made.update.batch_size) == (7, 30.0, 16)
    assert (made.logging.directory, made.logging.progress_bar) == (str(tmp_path), False)
    assert (asked["preset"], asked["started"]) == ("mine", 1.0)
