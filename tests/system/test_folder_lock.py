"""One process at a time in a folder."""

import filelock
import pytest

from rl_speed.system.folder_lock import LOCK_FILE, lock_folder


def test_another_one_is_kept_out_until_it_is_released(tmp_path):
    lock = lock_folder(tmp_path)
    with pytest.raises(filelock.Timeout):
        lock_folder(tmp_path)
    lock.release()
    lock_folder(tmp_path).release()


def test_where_there_are_no_locks_nobody_is_kept_out(tmp_path, monkeypatch):
    def acquire(*_, **__):
        raise NotImplementedError  # what filelock raises where a file system knows no locks

    monkeypatch.setattr("rl_speed.system.folder_lock.FileLock.acquire", acquire)
    for _ in range(2):
        lock_folder(tmp_path).release()
    assert not (tmp_path / LOCK_FILE).exists()
