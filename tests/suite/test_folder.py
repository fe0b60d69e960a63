"""What lies where, and one suite at a time."""

import os

import pytest

from rl_speed.suite.folder import RunKey, locked
from rl_speed.system.errors import UserError


def test_runs_lie_by_preset_game_and_seed(tmp_path):
    key = RunKey(3, "pong", "smoke")
    assert key.folder(tmp_path) == tmp_path / "smoke" / "pong" / "seed_3"
    assert str(key) == "smoke, pong, seed 3"


def test_a_second_suite_is_kept_out_until_the_first_ends(tmp_path):
    with locked(tmp_path), pytest.raises(UserError, match="in use by another"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="choose another folder"), locked(tmp_path):
        pass
