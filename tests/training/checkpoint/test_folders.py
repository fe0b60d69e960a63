"""Where checkpoints lie."""

import os
from pathlib import Path

import pytest

from rl_speed.system.errors import CheckpointError
from rl_speed.training.checkpoint import folders
from rl_speed.training.checkpoint.folders import MODEL_FILE, checkpoint_name, find_last


def make_checkpoint(run):
    folder = run / "checkpoints" / checkpoint_name(8)
    folder.mkdir(parents=True)
    (folder / MODEL_FILE).write_text("")
    return folder


def test_a_run_of_somebody_elses_is_passed_over(tmp_path, monkeypatch):
    mine, others = make_checkpoint(tmp_path / "version_0"), make_checkpoint(tmp_path / "version_1")
    os.utime(mine, (1, 1))
    os.utime(others, (2, 2))
    assert find_last(tmp_path) == others
    listed = folders.list_checkpoints

    def as_another_user(directory: Path) -> list[Path]:
        if directory.is_relative_to(tmp_path / "version_1"):
            raise PermissionError(13, "Permission denied")
        return listed(directory)

    monkeypatch.setattr(folders, "list_checkpoints", as_another_user)
    assert find_last(tmp_path) == mine


def test_no_checkpoint_is_one_sentence(tmp_path):
    with pytest.raises(CheckpointError, match=r"--resume last: no checkpoint below .*logging\.directory"):
        find_last(tmp_path)
