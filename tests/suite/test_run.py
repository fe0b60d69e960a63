"""One run: trained to its limit, interrupted, gone on with, judged by its last network."""

import json
import threading
import time

import pytest
import torch

from rl_speed.suite import run
from rl_speed.suite.plan import Asked, make_plan
from rl_speed.suite.schedule import spec_of
from rl_speed.training.checkpoint.reading import read_model
from tests.command_line import ENDLESS

SOME = ("checkpoint.every_seconds=0.1", "envs.max_episode_frames=400", "envs.backend=classic")


@pytest.fixture
def spec(tmp_path):
    """What a process of a suite would be given."""
    (tmp_path / "tiny.yaml").write_text(ENDLESS)

    def make(name="out", **asked):
        limits = {"env_steps": 900} | asked
        plan = make_plan(
            None, Asked("breakout", 1, 3, (str(tmp_path / "tiny.yaml"),), episodes=2, overrides=SOME, **limits)
        )
        made = {**spec_of(plan, plan.runs()[0], tmp_path / name), "started": time.monotonic()}
        (tmp_path / name / "tiny" / "breakout" / "seed_3").mkdir(parents=True, exist_ok=True)
        return made, tmp_path / name / "tiny" / "breakout" / "seed_3"

    threads = torch.get_num_threads()
    yield make
    torch.set_num_threads(threads)


def score(folder):
    return json.loads((folder / "score.json").read_text())


def whole(made, folder):
    assert run.train_and_judge(made, threading.Event())
    return score(folder)


def result_of(content):
    """What does not depend on the clock."""
    training = {name: content["training"][name] for name in ("env_steps", "gradient_steps", "episodes", "avg_reward")}
    return content["evaluation"]["returns"], training


def test_a_run_is_trained_to_its_limit_and_judged(spec):
    made, folder = spec()
    content = whole(made, folder)
    assert content["training"]["stop_reason"] == "max_env_steps"
    assert content["training"]["env_steps"] >= 900
    assert content["evaluation"]["episodes"] == len(content["evaluation"]["returns"]) == 2
    assert content["evaluation"]["epsilon"] == 0.001
    assert content["evaluation"]["sticky_probability"] == 0.0
    assert content["seed"] == content["config"]["seed"] == 3
    lines = (folder / "episodes.csv").read_text().splitlines()
    assert len(lines) == 1 + content["training"]["episodes"]
    # The last network is what was judged, and what only going on would need is gone.
    (checkpoint,) = run.checkpoints_of(folder)
    assert str(checkpoint.relative_to(folder)) == content["checkpoint"]
    assert read_model(checkpoint)["global_step"] == content["training"]["gradient_steps"]
    assert [path.name for path in checkpoint.iterdir()] == ["model.ckpt"]


@pytest.mark.slow
def test_other_sticky_actions_than_in_training(spec):
    made, folder = spec(sticky=0.25)
    assert whole(made, folder)["evaluation"]["sticky_probability"] == 0.25


def interrupted(made, folder):
    """The run is asked to end once a checkpoint is there."""
    stop = threading.Event()

    def wait():
        while not run.checkpoints_of(folder):
            time.sleep(0.005)
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return run.train_and_judge(made, stop)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_computes_the_same(spec):
    undisturbed = whole(*spec("undisturbed"))
    made, folder = spec()
    assert interrupted(made, folder) is False
    assert not (folder / "score.json").exists()
    steps = read_model(run.checkpoints_of(folder)[0])["global_step"]
    assert steps < undisturbed["training"]["gradient_steps"]
    assert result_of(whole(made, folder)) == result_of(undisturbed)
    assert len(list(folder.glob("version_*"))) == 1


@pytest.mark.slow
def test_a_run_that_is_trained_is_only_judged(spec, monkeypatch):
    made, folder = spec()
    with monkeypatch.context() as patch:
        patch.setattr(run, "play_games", lambda *_, **__: None)  # it had to end before
        assert run.train_and_judge(made, threading.Event()) is False
    monkeypatch.setattr(run, "fit", None)
    assert whole(made, folder)["training"]["stop_reason"] == "max_env_steps"


@pytest.mark.slow
def test_a_broken_checkpoint_is_passed_over_and_nothing_is_left_of_a_run_without_one(spec):
    made, folder = spec()
    assert interrupted(made, folder) is False
    for checkpoint in run.checkpoints_of(folder):
        (checkpoint / "model.ckpt").write_bytes(b"x")
    assert whole(made, folder)["training"]["env_steps"] >= 900
    assert len(list(folder.glob("version_*"))) == 1


@pytest.mark.slow
def test_a_run_whose_wall_time_is_over_is_judged_as_it_is(spec):
    made, folder = spec(env_steps=None, max_seconds=3600.0)
    assert interrupted(made, folder) is False
    content = whole({**made, "max_seconds": 1e-3, "started": time.monotonic()}, folder)
    assert content["training"]["stop_reason"] == "max_seconds"
    assert content["training"]["env_steps"] > 0
    assert content["training"]["seconds"] > 0


@pytest.mark.slow
def test_threads_are_limited_where_cores_cannot_be(spec):
    made, folder = spec()
    content = whole({**made, "threads": 1}, folder)
    assert content["config"]["update"]["threads"] == content["config"]["envs"]["threads"] == 1
