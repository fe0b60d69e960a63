"""What the machine has."""

import shutil
from pathlib import Path

from rl_speed.system import machine


def test_free_shared_memory_is_that_of_its_file_system(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path)
    free_bytes = machine.shared_memory_free_bytes()
    assert 0 <= free_bytes <= shutil.disk_usage(tmp_path).total


def test_a_system_without_that_folder_has_no_number(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "SHARED_MEMORY", Path(tmp_path / "none"))
    assert machine.shared_memory_free_bytes() is None
