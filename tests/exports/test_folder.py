"""The folder appears when it is whole, and takes the place of nothing but an older export."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl_speed.exports.folder import check_folder, new_folder, writing
from rl_speed.system.errors import UserError
from rl_speed.training.checkpoint.folders import LIBRARY


def fill(path, text):
    with new_folder(path) as partial:
        (partial / "config.json").write_text(json.dumps({"library_name": LIBRARY}))
        (partial / "README.md").write_text(text)


def names(path):
    return sorted(item.name for item in path.iterdir())


def test_it_is_made_with_the_folders_above_it(tmp_path):
    fill(tmp_path / "a" / "b", "one")
    assert (tmp_path / "a/b/README.md").read_text() == "one"
    assert names(tmp_path / "a") == ["b"]


def test_an_older_export_is_replaced_whole(tmp_path):
    fill(tmp_path / "out", "one")
    (tmp_path / "out" / "model.onnx").write_text("older")
    fill(tmp_path / "out", "two")
    assert names(tmp_path / "out") == ["README.md", "config.json"]
    assert (tmp_path / "out/README.md").read_text() == "two"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("is_there", [False, True])
def test_half_an_export_leaves_nothing(error, is_there, tmp_path):
    if is_there:
        fill(tmp_path / "out", "one")
    with pytest.raises(error), new_folder(tmp_path / "out") as partial:  # noqa: PT012
        (partial / "README.md").write_text("two")
        raise error
    assert names(tmp_path) == (["out"] if is_there else [])
    if is_there:
        assert (tmp_path / "out/README.md").read_text() == "one"


@pytest.mark.parametrize("is_done", [False, True])
def test_an_interrupt_between_two_names_leaves_the_older_export_or_the_new_one(is_done, tmp_path, monkeypatch):
    fill(tmp_path / "out", "one")
    plain, calls = Path.rename, []

    def rename(path, target):
        calls.append(path)
        if is_done or len(calls) != 2:
            plain(path, target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return Path(target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "out", "two")
    assert (tmp_path / "out/README.md").read_text() == ("two" if is_done else "one")
    monkeypatch.undo()
    fill(tmp_path / "out", "three")
    assert names(tmp_path) == ["out"]


def test_folders_above_it_go_where_nothing_was_written(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError), new_folder(tmp_path / "a" / "b" / "c"):
        raise ValueError
    assert names(tmp_path / "a") == []


def test_two_exports_to_one_folder_leave_each_other_alone(tmp_path):
    other = tmp_path / f".out.{os.getppid()}.partial"  # of a process that lives
    other.mkdir()
    fill(tmp_path / "out", "one")
    assert names(tmp_path) == [other.name, "out"]


def test_what_fails_inside_is_no_matter_of_the_folder(tmp_path):
    with pytest.raises(OSError, match="no memory"), new_folder(tmp_path / "out"):
        raise OSError(12, "no memory")
    with pytest.raises(UserError, match=r"--out .*cannot be written"), new_folder(tmp_path / "out"), writing("out"):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


@pytest.fixture(scope="module")
def dead():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_an_export_that_was_killed_between_two_names_comes_back(dead, tmp_path):
    fill(tmp_path / "out", "one")
    (tmp_path / "out").rename(tmp_path / f".out.{dead}.replaced")
    (tmp_path / f".out.{dead}.partial").mkdir()
    with pytest.raises(ValueError), new_folder(tmp_path / "out"):
        raise ValueError
    assert (tmp_path / "out/README.md").read_text() == "one"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("extra", ["thesis.tex", ".git"])
def test_a_folder_with_anything_else_in_it_is_refused(extra, tmp_path):
    fill(tmp_path / "out", "one")
    (tmp_path / "out" / extra).write_text("mine")
    with pytest.raises(UserError, match=f"--out .*it holds {extra}.*another folder"):
        check_folder(tmp_path / "out")
    with pytest.raises(UserError), new_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / extra).read_text() == "mine"


def test_what_came_into_the_folder_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(UserError, match=r"it holds thesis\.tex"), new_folder(tmp_path / "out") as partial:  # noqa: PT012
        (partial / "README.md").write_text("one")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.tex").write_text("mine")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("path", [".", "../out"])
def test_the_working_directory_is_refused(path, tmp_path, monkeypatch):
    fill(tmp_path / "out", "one")
    monkeypatch.chdir(tmp_path / "out")
    with pytest.raises(UserError, match="is the working directory"):
        check_folder(Path(path))


def test_names_alone_make_no_export(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UserError, match=r"it holds README.md"):
        check_folder(tmp_path)


def test_an_empty_folder_and_a_missing_one_will_do(tmp_path):
    check_folder(tmp_path)
    check_folder(tmp_path / "none")


@pytest.mark.parametrize("path", ["file", "file/out", "/proc/none/out"])
def test_a_place_that_cannot_be_written_is_one_sentence(path, tmp_path):
    (tmp_path / "file").write_text("")
    sentence = r"--out .* cannot be written \(.*\); make room or choose another folder"
    with pytest.raises(UserError, match=sentence), new_folder(tmp_path / path):
        pass
