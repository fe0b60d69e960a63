"""Curves as CSV files: both axes, other columns later, a kill, a resume, a full disk."""

import csv
from pathlib import Path

from rl_speed.training.curve_files import CsvTracker, cut_rows, read_rows


def draw(folder, episodes):
    tracker = CsvTracker(folder, print)
    for episode in episodes:
        tracker.write({"reward": float(episode), "steps": 25.0}, episode)
        tracker.write({"loss": 0.5}, 100 * episode)
    tracker.finalize("success")


def read(folder, axis):
    with (folder / f"curves_by_{axis}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_axis_has_its_file(tmp_path):
    draw(tmp_path, [1, 2])
    assert read(tmp_path, "episode") == [
        {"episode": "1", "reward": "1.0", "steps": "25.0"}, {"episode": "2", "reward": "2.0", "steps": "25.0"},
    ]  # fmt: skip
    assert [row["env_steps"] for row in read(tmp_path, "env_steps")] == ["100", "200"]
    assert not list(tmp_path.glob("*.partial"))


def test_a_tag_that_comes_later_gets_a_column(tmp_path):
    tracker = CsvTracker(tmp_path, print)
    tracker.write({"loss": 1.0}, 1)
    tracker.write({"loss": 2.0, "epsilon": 0.5}, 2)
    tracker.write({"loss": 3.0}, 3)
    assert [(row["loss"], row["epsilon"]) for row in read(tmp_path, "env_steps")] == [
        ("1.0", ""), ("2.0", "0.5"), ("3.0", ""),
    ]  # fmt: skip


def test_a_run_that_was_killed_goes_on_in_the_same_files(tmp_path):
    draw(tmp_path, [1, 2, 3])
    path = tmp_path / "curves_by_episode.csv"
    path.write_text(path.read_text()[:-4])  # half of the third row
    cut_rows(tmp_path, episodes=3, env_steps=200)
    draw(tmp_path, [3])
    assert [row["episode"] for row in read(tmp_path, "episode")] == ["1", "2", "3"]
    assert [row["env_steps"] for row in read(tmp_path, "env_steps")] == ["100", "200", "300"]


def test_nothing_to_cut(tmp_path):
    cut_rows(tmp_path, 1, 1)
    assert list(tmp_path.iterdir()) == []
    assert read_rows(tmp_path / "none.csv") == []


def test_a_full_disk_costs_the_curves_and_not_the_run(tmp_path, monkeypatch):
    said = []
    tracker = CsvTracker(tmp_path, said.append)
    tracker.write({"loss": 1.0}, 1)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", fail)
    tracker.write({"loss": 2.0}, 2)
    tracker.write({"loss": 3.0}, 3)
    (sentence,) = said
    assert "No space left" in sentence
    assert str(tmp_path) in sentence


def test_what_a_callback_of_the_users_logs_is_kept(tmp_path):
    CsvTracker(tmp_path, print).log_metrics({"mine": 1.0}, step=7)
    assert read(tmp_path, "step") == [{"step": "7", "mine": "1.0"}]
