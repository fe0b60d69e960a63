"""A run's folder belongs to one process."""

import shutil
import subprocess
import sys

import pytest
import yaml

from rl_speed.config import RunConfig
from rl_speed.system.errors import UserError
from rl_speed.training.run_folder import RunFolder, new_run_folder, run_of


def test_numbers_go_on_after_the_highest(tmp_path):
    for name in ("version_2", "version_10", "version_x", "other_99"):
        (tmp_path / name).mkdir()
    assert new_run_folder(tmp_path).path.name == "version_11"


def test_a_number_that_another_has_just_taken_is_left_to_it(tmp_path, monkeypatch):
    # Both have looked before one of them made its folder.
    (tmp_path / "version_0").mkdir()
    monkeypatch.setattr("rl_speed.training.run_folder._number", lambda path: -1)
    assert new_run_folder(tmp_path).path.name == "version_1"


def test_another_process_is_kept_out_until_this_one_lets_go(tmp_path):
    folder = new_run_folder(tmp_path / "new" / "logs")
    (folder.path / "config.yaml").write_text("")
    with pytest.raises(UserError, match="in use by another process"):
        RunFolder(folder.path)
    folder.release()
    RunFolder(folder.path).release()
    assert (folder.path / "config.yaml").is_file()


def test_the_folder_of_a_process_that_was_killed_is_free(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from rl_speed.training.run_folder import RunFolder;"
        "folder = RunFolder(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    (tmp_path / "config.yaml").write_text("")
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert ended.returncode == -9
    RunFolder(tmp_path).release()


def test_a_folder_that_nothing_was_written_to_is_removed(tmp_path):
    new_run_folder(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_somebody_has_removed_is_no_fault(tmp_path):
    folder = new_run_folder(tmp_path)
    shutil.rmtree(folder.path)
    folder.release()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"logging\.directory: .*file cannot be written"):
        new_run_folder(tmp_path / "file")


@pytest.fixture
def run(tmp_path):
    """A run's folder with a checkpoint, and that checkpoint."""
    checkpoint = tmp_path / "version_3" / "checkpoints" / "gradient_steps=000000007"
    checkpoint.mkdir(parents=True)
    content = yaml.safe_dump(RunConfig().model_dump(mode="json"))
    (tmp_path / "version_3" / "config.yaml").write_text(content)
    return (tmp_path / "version_3").resolve(), checkpoint


def test_the_run_of_a_checkpoint_is_where_it_lies(run):
    assert run_of(run[1]) == run[0]
    moved = run[0].rename(run[0].with_name("best"))
    assert run_of(moved / "checkpoints" / run[1].name) == moved


@pytest.mark.parametrize("content", [None, "extends: fast_cpu\nseed: 1\n", "model: {name: resnet}\n", "{", "- a\n"])
def test_a_checkpoint_that_was_copied_elsewhere_has_no_run_there(tmp_path, run, content):
    project = tmp_path / "project"
    shutil.copytree(run[0] / "checkpoints", project / "checkpoints")
    if content is not None:
        (project / "config.yaml").write_text(content)
    assert run_of(project / "checkpoints" / run[1].name) is None


def test_a_checkpoint_beside_a_runs_folder_of_checkpoints_is_none_of_it(run):
    assert run_of(run[0] / run[1].name) is None


def test_what_a_killed_process_has_left_half_written_is_cleared(run):
    (run[0] / ".result.json.123.partial").write_text("{")
    RunFolder(run[0]).release()
    assert not (run[0] / ".result.json.123.partial").exists()


def test_where_there_are_no_locks_nothing_of_another_process_is_cleared(tmp_path, monkeypatch):
    def acquire(*_, **__):
        raise NotImplementedError  # what filelock raises where a file system knows no locks

    monkeypatch.setattr("rl_speed.system.folder_lock.FileLock.acquire", acquire)
    partial = tmp_path / ".result.json.123.partial"
    partial.write_text("{")
    RunFolder(tmp_path).release()
    assert partial.exists()
