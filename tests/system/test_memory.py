"""Memory that may be used."""

import shutil
from pathlib import Path

import psutil

from rl_speed.system import memory
from rl_speed.system.memory import free_memory_bytes, total_memory_bytes
from tests.system.file_system import GIB, make_root


def test_a_containers_limit_is_the_memory_there_is(tmp_path):
    files = {
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/memory.max": GIB // 4,
        "sys/fs/cgroup/memory.current": GIB // 16,
    }
    root = make_root(tmp_path, files)
    assert total_memory_bytes(root) == GIB // 4
    assert free_memory_bytes(root) == GIB // 4 - GIB // 16


def test_without_a_limit_it_is_the_machines(tmp_path):
    assert total_memory_bytes(tmp_path) == psutil.virtual_memory().total


def test_free_shared_memory_is_that_of_its_file_system(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "SHARED_MEMORY", tmp_path)
    free_bytes = memory.shared_memory_free_bytes()
    assert 0 <= free_bytes <= shutil.disk_usage(tmp_path).total


def test_a_system_without_that_folder_has_no_number(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "SHARED_MEMORY", Path(tmp_path / "none"))
    assert memory.shared_memory_free_bytes() is None
