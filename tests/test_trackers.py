"""Whole runs with other trackers than TensorBoard: the same run, going on, and without curves where they fail."""

import csv
import json

import pytest

import rl_speed
from rl_speed.training import trackers
from rl_speed.training.curve_files import CsvTracker
from rl_speed.training.trackers import TRACKER_FILE
from tests.conftest import TINY


def train(directory, kind, resume=None, gradient_steps=30, printed=False):
    changes = {
        "logging": {"directory": str(directory), "progress_bar": False, "kind": kind, "every_seconds": 0.001},
        "stop": {"max_gradient_steps": gradient_steps, "confirm_episodes": 0},
    }
    if resume is not None:
        return rl_speed.train(resume=resume, overrides=changes, verbose=printed)
    envs = {**TINY["envs"], "max_episode_frames": 40}
    return rl_speed.train("baseline", {**TINY, "envs": envs, **changes}, seed=3, verbose=printed)


def read(folder, axis):
    with (folder / f"curves_by_{axis}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_in_csv_files_goes_on_in_them(tmp_path):
    first = train(tmp_path, "csv")
    assert not list(first.directory.glob("events*"))
    # What a killed run has drawn beyond its checkpoint.
    with (first.directory / "curves_by_episode.csv").open("a") as file:
        file.write(f"{first.episodes + 1},99.0,99.0,9.0\n")
    second = train(tmp_path, "csv", first.checkpoint, gradient_steps=60)
    assert second.directory.samefile(first.directory)
    games = read(second.directory, "episode")
    assert [int(row["episode"]) for row in games] == list(range(1, second.episodes + 1))
    assert "99.0" not in {row["reward"] for row in games}
    env_steps = [int(row["env_steps"]) for row in read(second.directory, "env_steps")]
    assert env_steps == sorted(env_steps)
    assert float(games[-1]["avg_reward"]) == pytest.approx(second.avg_reward)


def test_the_tracker_changes_nothing_of_the_run(tmp_path):
    plain, other = (train(tmp_path / kind, kind) for kind in ("tensorboard", "csv"))
    names = ("env_steps", "gradient_steps", "episodes", "avg_reward")
    assert [getattr(plain, name) for name in names] == [getattr(other, name) for name in names]


def test_a_tracker_that_fails_costs_the_curves_and_not_the_run(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("rl_speed.training.plan.check_tracker", lambda config: None)
    monkeypatch.setattr(trackers, "WandbTracker", refuse)
    result = train(tmp_path, "wandb", printed=True)
    assert (result.gradient_steps, result.stop_reason) == (30, "max_gradient_steps")
    said = [line for line in capsys.readouterr().out.splitlines() if "curves" in line]
    assert said == ["the curves in wandb cannot be written any more (no route to host); the run goes on"]


def test_trackio_that_cannot_begin_costs_the_curves_and_not_the_run(tmp_path, monkeypatch, capsys):
    trackio = pytest.importorskip("trackio")

    def refuse(**_):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(trackio, "init", refuse)
    result = train(tmp_path, "trackio", printed=True)
    assert (result.gradient_steps, result.stop_reason) == (30, "max_gradient_steps")
    said = [line for line in capsys.readouterr().out.splitlines() if "curves" in line]
    assert said == ["the curves in trackio cannot be written any more (no route to host); the run goes on"]


def test_a_tracker_that_may_wait_ends_when_the_result_is_written(tmp_path, monkeypatch):
    seen = []

    class Patient(CsvTracker):
        ends_late = True

        def _end(self, status):
            seen.append((status, (self._folder / "result.json").is_file()))

    monkeypatch.setattr("rl_speed.training.build.make_logger", lambda config, folder, say: Patient(folder, say))
    train(tmp_path, "csv")
    assert seen == [("success", True)]


def test_a_csv_file_that_somebody_changed_costs_the_curves_and_not_the_run(tmp_path, capsys):
    first = train(tmp_path, "csv")
    path = first.directory / "curves_by_episode.csv"
    path.write_text(path.read_text().replace("\n1,", "\nfirst,"))
    second = train(tmp_path, "csv", first.checkpoint, gradient_steps=60, printed=True)
    assert second.gradient_steps == 60
    said = [line for line in capsys.readouterr().out.splitlines() if "curves_by_episode.csv was changed" in line]
    assert [line.count("the run goes on") for line in said] == [1, 1]
    assert "first," in path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wandb", "mlflow", "trackio"])
def test_a_run_in_a_tracker_of_its_own_goes_on_in_it(kind, tmp_path, monkeypatch, capfd):
    pytest.importorskip(kind)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    first = train(tmp_path / "runs", kind)
    noted = json.loads((first.directory / TRACKER_FILE).read_text())
    assert noted["kind"] == kind
    second = train(tmp_path / "runs", kind, first.checkpoint, gradient_steps=40)
    assert json.loads((second.directory / TRACKER_FILE).read_text()) == noted
    assert second.gradient_steps == 40
    assert capfd.readouterr() == ("", "")
