"""JSON files appear only when they are whole."""

import json
import os
from pathlib import Path

import pytest

from rl_speed.system.errors import UserError
from rl_speed.system.json_file import check_json_path, write_json, write_whole


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
    with pytest.raises(UserError, match="No such file or directory"):
        check_json_path(tmp_path / "none" / "result.json")


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    for path in (tmp_path / ("x" * 300), Path("/proc/x.json"), Path("\0")):
        with pytest.raises(UserError, match="cannot be written"):
            check_json_path(path)
    check_json_path(tmp_path / "new.json")
    assert list(tmp_path.iterdir()) == []


def test_a_link_goes_on_leading_to_its_file(tmp_path):
    (tmp_path / "file.json").write_text("{}")
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "file.json")
    write_json(link, {"a": 1})
    assert link.is_symlink()
    assert json.loads((tmp_path / "file.json").read_text()) == {"a": 1}


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    read = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    check_json_path(fifo)
    write_json(fifo, {"a": 1})
    assert json.loads(os.read(read, 1000)) == {"a": 1}
    os.close(read)
