"""JSON files appear only when they are whole."""

import json

import pytest

from rl_speed.system.errors import UserError
from rl_speed.system.json_file import check_json_path, write_whole


def test_what_cannot_be_written_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "result.json"
    write_whole(path, {"a": 1})
    with pytest.raises(TypeError):
        write_whole(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_refused_before_the_work_is_done(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        check_json_path(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        check_json_path(tmp_path / "none" / "result.json")
