"""What is kept of what compilers made."""

import os
from pathlib import Path

from rl_speed.system.code_cache import cache_folder, describe_cache, trim_cache


def test_what_killed_compilers_left_goes_after_a_day(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder()
    for name, is_old in (("tmpold", True), ("tmpnew", False)):
        (folder / name).mkdir(parents=True)
        (folder / name / "emulator.so").write_text("")
        os.utime(folder / name, (1000, 1000) if is_old else None)
    for name, is_old in (("old.tmp", True), ("new.tmp", False), ("old.lock", True), ("old.so", True)):
        (folder / name).write_text("")
        os.utime(folder / name, (1000, 1000) if is_old else None)
    trim_cache(folder / "old.so")
    assert sorted(path.name for path in folder.iterdir()) == ["new.tmp", "old.so", "tmpnew"]


def test_what_was_not_used_for_longest_leaves_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder()
    assert describe_cache().startswith("0 files, 0 of at most 500 MB")
    folder.mkdir(parents=True)
    for age, name in enumerate(("new.so", "used.so", "old.cubin", "oldest.so")):
        (folder / name).write_bytes(bytes(1_000_000))
        os.utime(folder / name, (1000 - age, 1000 - age))
    (folder / "notes.txt").write_text("not ours")
    assert describe_cache().startswith("4 files, 4 of at most")
    trim_cache(folder / "oldest.so", most_bytes=2_500_000)
    assert sorted(path.name for path in folder.iterdir()) == ["new.so", "notes.txt", "oldest.so"]
    trim_cache(folder / "new.so", most_bytes=0)
    assert sorted(path.name for path in folder.iterdir()) == ["new.so", "notes.txt"]
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError()))
    assert "no home folder" in describe_cache()
