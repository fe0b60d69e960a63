"""One run: trained to its limit, interrupted, gone on with, judged by its last network."""

import json
import threading
import time

import pytest
import torch

from rl_speed.suite import run
from rl_speed.suite.plan import Asked, configs_of, make_plan
from rl_speed.suite.schedule import spec_of
from rl_speed.system.errors import UserError
from rl_speed.training.checkpoint.reading import FORMAT, read_model
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
        (key,), (config,) = plan.runs(), configs_of(plan).values()
        made = {**spec_of(plan, key, tmp_path / name, config), "started": time.monotonic()}
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


def checkpoint_in(folder, gradient_steps, env_steps=100, version="version_0", broken=False):
    """A checkpoint that nobody has trained; of the run it holds what a suite looks at."""
    path = folder / version / "checkpoints" / f"gradient_steps={gradient_steps:09d}"
    path.mkdir(parents=True)
    content = {
        "global_step": gradient_steps,
        "rl_speed": {"format": FORMAT, "plan": {}, "config": {}},
        "callbacks": {
            "EpisodeStatistics": {"episodes": 2, "recent": [1.0, 2.0]},
            "EpisodeRecord": {
                "now": {"env_steps": env_steps, "seconds": 3.0}, "seconds": [], "env_steps": [], "returns": [],
            },
        },
    }  # fmt: skip
    torch.save(content, path / "model.ckpt")
    torch.save({"format": FORMAT}, path / "experience_rank0.pt")
    if broken:
        (path / "model.ckpt").write_bytes(b"x")
    return path


def test_a_broken_checkpoint_is_passed_over(tmp_path):
    older = checkpoint_in(tmp_path, 10)
    checkpoint_in(tmp_path, 20, broken=True)
    assert run._usable(tmp_path) == older


def test_checkpoints_of_which_none_can_be_read_are_left_alone(tmp_path):
    """The disk may answer again tomorrow."""
    checkpoint = checkpoint_in(tmp_path, 10)
    (checkpoint / "experience_rank0.pt").unlink()
    broken = checkpoint_in(tmp_path, 20, broken=True)
    with pytest.raises(UserError, match=r"none of the run's 2 checkpoints .* remove .* from the start") as caught:
        run._usable(tmp_path)
    assert "\n" not in str(caught.value)
    assert run.checkpoints_of(tmp_path) == [broken, checkpoint]


def test_what_was_begun_and_left_no_checkpoint_is_cleared_away(tmp_path):
    for name in ("version_0", "version_1/checkpoints", "version_2/checkpoints/.gradient_steps=000000010.partial"):
        (tmp_path / name).mkdir(parents=True)
    kept = tmp_path / "version_3" / "checkpoints" / ".gradient_steps=000000010.replaced"
    kept.mkdir(parents=True)
    assert run._usable(tmp_path) is None
    assert list(tmp_path.iterdir()) == [tmp_path / "version_3"]
    assert kept.is_dir()


def test_a_finished_training_whose_last_checkpoint_is_broken_goes_on_from_an_older_one(tmp_path):
    older, last = checkpoint_in(tmp_path, 10), checkpoint_in(tmp_path, 20)
    (tmp_path / "version_0" / "result.json").write_text('{"stop_reason": "max_env_steps", "gradient_steps": 20}')
    assert run._trained(tmp_path, 900) == last
    (last / "model.ckpt").write_bytes(b"x")
    assert run._trained(tmp_path, 900) is None
    assert run._usable(tmp_path) == older


@pytest.mark.parametrize("was_interrupted", [True, False])
def test_a_run_that_has_reached_its_limit_is_not_trained_further(tmp_path, was_interrupted):
    checkpoint = checkpoint_in(tmp_path, 20, env_steps=900)
    if was_interrupted:  # in the very batch
        (tmp_path / "version_0" / "result.json").write_text('{"stop_reason": "interrupted", "gradient_steps": 20}')
    assert run._trained(tmp_path, 901) is None
    assert run._trained(tmp_path, None) is None
    assert run._trained(tmp_path, 900) == checkpoint
    result = run._result(checkpoint)
    assert result["stop_reason"] == "max_env_steps"
    assert (result["env_steps"], result["gradient_steps"], result["avg_reward"]) == (900, 20, 1.5)
    assert run._trained(tmp_path, None) == checkpoint  # as it says itself from then on


def test_replays_are_gone_before_the_score_is_there(tmp_path, monkeypatch):
    """Nobody looks at a run with a score again."""
    checkpoint_in(tmp_path, 10)
    checkpoint_in(tmp_path, 15).rename(tmp_path / "version_0" / "checkpoints" / "gradient_steps=000000015.set_aside")
    last = checkpoint_in(tmp_path, 20, env_steps=900)
    assert run._trained(tmp_path, 900) == last
    monkeypatch.setattr(run, "write_whole", lambda path, content: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run._write_score({"preset": "smoke", "game": "pong", "seed": 0}, tmp_path, last, {})
    assert [path.name for path in last.parent.iterdir()] == [last.name]
    assert [path.name for path in last.iterdir()] == ["model.ckpt"]
    assert run._trained(tmp_path, 900) == last  # it is judged again, and no more


def test_a_preset_that_is_edited_meanwhile_changes_nothing(spec, tmp_path):
    made, folder = spec()
    (tmp_path / "tiny.yaml").write_text("extends: smoke\n")
    config = run._from_start(json.loads(json.dumps(made)), folder).config
    assert (config.network.hidden, config.envs.game, config.seed) == (8, "breakout", 3)
    assert config.logging.directory == str(folder)


@pytest.mark.slow
def test_a_run_whose_wall_time_is_over_is_judged_as_it_is(spec):
    made, folder = spec(env_steps=None, max_seconds=3600.0)
    assert interrupted(made, folder) is False
    content = whole({**made, "max_seconds": 1e-3, "started": time.monotonic()}, folder)
    assert content["training"]["stop_reason"] == "max_seconds"
    assert content["training"]["env_steps"] > 0
    assert content["training"]["seconds"] > 0
