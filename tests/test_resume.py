"""An interrupted and resumed run equals the uninterrupted one, number for number, on the CPU."""

import io
import json
import shutil
from pathlib import Path

import pytest
from pytorch_lightning import Callback
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_speed.config import StopConfig, validate
from rl_speed.training.checkpoint.folders import find_last, list_checkpoints
from rl_speed.training.checkpoint.reading import read_config, read_experience, read_model
from rl_speed.training.checkpoint.resuming import Request
from rl_speed.training.fit import fit
from rl_speed.training.run_folder import RunFolder, run_of
from tests.resuming import RUN, assert_equal, run


@pytest.mark.parametrize(
    "backend",
    ["native", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ale_vector", "classic"))],
)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, backend):
    changes = {"envs": {"backend": backend}}
    whole = run(tmp_path / "whole", 60, **changes)
    run(tmp_path / "parts", 26, **changes)
    resumed = run(tmp_path / "parts", 60, resume=find_last(tmp_path / "parts"), **changes)
    expected, found = (find_last(tmp_path / name) for name in ("whole", "parts"))
    assert expected.name == found.name == "gradient_steps=000000060"
    expected_model, found_model = read_model(expected), read_model(found)
    for key in ("state_dict", "optimizer_states", "global_step"):
        assert_equal(expected_model[key], found_model[key], key)
    statistics = [
        next(state for name, state in model["callbacks"].items() if "EpisodeStatistics" in name)
        for model in (expected_model, found_model)
    ]
    for state in statistics:
        for clock in state["clocks"].values():
            (clock or {}).pop("seconds", None)
        state["curve"]["points"] = [point[1:] for point in state["curve"]["points"]]  # without seconds
    assert_equal(*statistics, "statistics")
    assert_equal(read_experience(expected, 0), read_experience(found, 0), "experience")
    for key in ("env_steps", "gradient_steps", "episodes", "avg_reward"):
        assert whole.result[key] == resumed.result[key]
    assert resumed.result["episodes"] >= 8
    # The resumed run goes on in its folder.
    assert resumed.directory == find_last(tmp_path / "parts").parent.parent


def test_a_run_whose_replay_was_not_saved_fills_it_anew(tmp_path):
    first = run(tmp_path, 20, checkpoint={"save_replay": False})
    folder = find_last(tmp_path)
    assert read_experience(folder, 0)["replay"] is None
    second = run(tmp_path, 40, resume=folder, checkpoint={"save_replay": False})
    assert (first.result["gradient_steps"], second.result["gradient_steps"]) == (20, 40)
    # The env steps go on; the second filling is on top of the replay ratio.
    ratio_env_steps = 20 * RUN["update"]["env_steps_per_gradient_step"]
    played = second.result["env_steps"] - first.result["env_steps"]
    assert ratio_env_steps + 90 - 6 <= played <= ratio_env_steps + 90 + 6


def test_weights_are_never_one_update_old(tmp_path):
    """Lightning fetches a batch ahead from a loader without a length; ours has one."""
    run(tmp_path, 30)
    folder = find_last(tmp_path)
    assert read_experience(folder, 0)["dataset"]["gradient_steps"] == read_model(folder)["global_step"] == 30


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    run(tmp_path, 40, checkpoint={"every_seconds": 1e-6, "keep": 2})
    names = [path.name for path in list_checkpoints(tmp_path / "version_0" / "checkpoints")]
    assert names == ["gradient_steps=000000040", "gradient_steps=000000038"]


def test_result_and_configuration_lie_in_the_runs_folder(tmp_path):
    outcome = run(tmp_path, 5000, stop={"confirm_episodes": 2, "reward": -21.0})
    result = json.loads((outcome.directory / "result.json").read_text())
    assert set(result) >= {
        "solved", "stop_reason", "seconds", "env_steps", "frames", "gradient_steps", "episodes", "avg_reward",
        "clocks", "env_steps_per_second", "time_shares", "confirmation", "checkpoint", "config", "preset", "seed",
        "failed_confirmations", "versions", "machine",
    }  # fmt: skip
    assert result["frames"] == 4 * result["env_steps"]
    assert set(result["clocks"]) == {"mean100_18", "ema_17", "mean100_19_5"}
    assert set(result["env_steps_per_second"]) == {"prefill", "steady"}
    assert set(result["confirmation"]) == {"episodes", "mean", "std", "min", "max"}
    assert read_config(find_last(tmp_path)) == validate(result["config"])


def test_tensorboard_holds_the_seven_tags(tmp_path):
    outcome = run(tmp_path, 60)
    events = EventAccumulator(str(outcome.directory))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert tags >= {"reward", "avg_reward", "steps", "loss", "avg_loss", "epsilon", "avg_fps"}
    episodes = [event.step for event in events.Scalars("reward")]
    assert episodes == list(range(1, outcome.result["episodes"] + 1))
    env_steps = [event.step for event in events.Scalars("epsilon")]
    assert env_steps == sorted(env_steps)
    assert env_steps[-1] <= outcome.result["env_steps"]
    epsilon = [event.value for event in events.Scalars("epsilon")]
    assert epsilon[0] > epsilon[-1]


def test_the_goal_ends_the_run(tmp_path):
    # Every game of 25 env steps returns more than -21.
    outcome = run(tmp_path, 5000, stop={"reward": -21.0})
    assert outcome.result["solved"]
    assert outcome.result["stop_reason"] == "solved"
    assert outcome.result["episodes"] >= 5


def test_an_unsolved_run_is_not_confirmed_unless_asked(tmp_path):
    stop = {"confirm_episodes": 2, "confirm_epsilon": 0.5}
    assert run(tmp_path / "first", 10, stop=stop).result["confirmation"] is None
    result = run(tmp_path / "second", 10, stop={**stop, "confirm_unsolved": True}).result
    assert (result["solved"], result["stop_reason"]) == (False, "max_gradient_steps")
    assert result["confirmation"]["episodes"] == 2


@pytest.mark.parametrize(("before", "after"), [(None, 0.3), (0.3, None)])
def test_averaging_may_begin_or_end_on_resume(tmp_path, before, after):
    run(tmp_path, 20, update={"averaging_rate": before})
    folder = find_last(tmp_path)
    run(tmp_path, 40, resume=folder, update={"averaging_rate": after})
    names = read_model(find_last(tmp_path))["state_dict"]
    assert any(name.startswith("average_network.") for name in names) == (after is not None)


def test_settings_of_the_optimizer_that_change_on_resume_hold(tmp_path):
    run(tmp_path, 20)
    run(tmp_path, 40, resume=find_last(tmp_path), update={"adam_epsilon": 0.01})
    (group,) = read_model(find_last(tmp_path))["optimizer_states"][0]["param_groups"]
    assert group["eps"] == 0.01


def test_a_resumed_run_goes_on_in_its_own_folder_wherever_it_is_started(tmp_path, finished_run, here):
    shutil.copytree(finished_run, tmp_path / "a")
    (tmp_path / "b").mkdir()
    folder = tmp_path / "a" / "lightning_logs" / "version_0"
    limit = ["--set", "stop.max_gradient_steps=80"]
    answer = here("train", "--resume", str(folder), *limit, cwd=tmp_path / "b")
    assert answer.returncode == 0, answer.stderr
    assert (folder / "checkpoints" / "gradient_steps=000000080").is_dir()
    assert list((tmp_path / "b").iterdir()) == []
    elsewhere = ["--set", "stop.max_gradient_steps=90", "--set", "logging.directory=logs"]
    answer = here("train", "--resume", str(folder), *elsewhere, cwd=tmp_path / "b")
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "b" / "logs" / "version_0" / "checkpoints" / "gradient_steps=000000090").is_dir()


def test_a_run_that_goes_on_cannot_be_resumed_beside_itself(tmp_path, finished_run, here):
    shutil.copytree(finished_run, tmp_path / "a")
    folder = tmp_path / "a" / "lightning_logs" / "version_0"
    before = sorted(path.name for path in (folder / "checkpoints").iterdir())
    running = RunFolder(folder)
    answer = here("train", "--resume", str(folder), cwd=tmp_path)
    running.release()
    assert answer.returncode == 2
    assert f"run {folder} is in use" in answer.stderr
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == before


def test_curves_of_a_resumed_run_do_not_run_backwards(tmp_path):
    run(tmp_path, 60, checkpoint={"every_seconds": 1e-6, "keep": 100})
    older = next(path for path in list_checkpoints(tmp_path / "version_0" / "checkpoints") if path.name.endswith("30"))
    resumed = run(tmp_path, 60, resume=older)
    events = EventAccumulator(str(resumed.directory))
    events.Reload()
    assert [event.step for event in events.Scalars("reward")] == list(range(1, resumed.result["episodes"] + 1))
    env_steps = [event.step for event in events.Scalars("epsilon")]
    assert env_steps == sorted(set(env_steps))


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="this system does not name mapped files")
def test_a_resumed_run_lets_go_of_its_checkpoint(tmp_path):
    run(tmp_path, 20)
    folder = find_last(tmp_path)
    seen = []

    class Look(Callback):
        def on_train_batch_end(self, *_):
            seen.append(Path("/proc/self/maps").read_text().count(folder.name))

    config = read_config(folder).model_copy(update={"stop": StopConfig(max_gradient_steps=24, confirm_episodes=0)})
    request = Request(folder, "test", config, read_model(folder)["rl_speed"]["kept"], run_of(folder))
    fit(request, Console(file=io.StringIO()), [Look()])
    assert seen[-1] == 0
