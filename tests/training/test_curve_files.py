"""Curves as CSV files: both axes, other columns later, a kill, a resume, a full disk."""

import csv
from pathlib import Path

import pytest

from rl_speed.training.curve_files import CsvTracker, CurveFileError, cut_rows, read_rows


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
    cut_rows(tmp_path, episodes=3, env_steps=200, gradient_steps=0)
    draw(tmp_path, [3])
    assert [row["episode"] for row in read(tmp_path, "episode")] == ["1", "2", "3"]
    assert [row["env_steps"] for row in read(tmp_path, "env_steps")] == ["100", "200", "300"]


def test_nothing_to_cut(tmp_path):
    cut_rows(tmp_path, 1, 1, 1)
    assert list(tmp_path.iterdir()) == []
    assert read_rows(tmp_path / "none.csv", "episode") == []


def test_a_mark_that_an_editor_puts_in_front_is_no_harm(tmp_path):
    draw(tmp_path, [1, 2])
    path = tmp_path / "curves_by_episode.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    cut_rows(tmp_path, 1, 200, 0)
    draw(tmp_path, [2])
    assert [row["episode"] for row in read(tmp_path, "episode")] == ["1", "2"]


@pytest.mark.parametrize(
    "content",
    [
        b"episode,reward\n\x001,2.0\n",
        b"episode,reward\n1,\xff\n",
        b"reward\n1.0\n",
        b"episode,reward\n1.0,2.0\n",
        b"a,b\n\n1\n",
    ],
)
def test_a_file_that_somebody_changed_is_one_sentence_and_stays_as_it_is(content, tmp_path):
    path, said = tmp_path / "curves_by_episode.csv", []
    path.write_bytes(content)
    with pytest.raises(CurveFileError, match=r"curves_by_episode.csv was changed and holds no curves by episode now"):
        cut_rows(tmp_path, 1, 1, 1)
    tracker = CsvTracker(tmp_path, said.append)
    tracker.write({"reward": 1.0}, 2)
    tracker.write({"reward": 1.0}, 3)
    (sentence,) = said
    assert "put it right or move it away" in sentence
    assert path.read_bytes() == content


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
    tracker = CsvTracker(tmp_path, print)
    tracker.log_metrics({"mine": 1.0}, step=7)
    tracker.log_metrics({"mine": 2.0}, step=8)
    assert read(tmp_path, "step") == [{"step": "7", "mine": "1.0"}, {"step": "8", "mine": "2.0"}]
    cut_rows(tmp_path, 0, 0, gradient_steps=7)
    assert [row["step"] for row in read(tmp_path, "step")] == ["7"]
