"""No place for what the compiler makes, and no time to make it."""

import os
import threading
import time
from pathlib import Path

import pytest

from rl_speed.emulator.compiler import cache_folder, describe_cache, library_path, trim_cache
from rl_speed.system.compiler import find_compiler
from rl_speed.system.ending import Ending
from rl_speed.system.errors import EndedBeforeStartError, UserError
from tests.command_line import assert_no_process_stays


def test_unwritable_cache(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set XDG_CACHE_HOME to a folder that can"):
        library_path({}, {})


@pytest.mark.skipif(os.name != "posix", reason="the compiler is a shell script")
def test_a_run_that_has_to_end_does_not_wait_for_the_compiler(monkeypatch, tmp_path, request):
    compiler, started = tmp_path / "slow", tmp_path / "started"
    # It starts a process of its own, as compilers do.
    compiler.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 1 && exit\nsleep 600 & echo $! > {started}\nwait\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    find_compiler.cache_clear()
    request.addfinalizer(find_compiler.cache_clear)
    stop = threading.Event()

    def ask():
        while not (started.is_file() and started.read_text().strip()):
            time.sleep(0.01)
        stop.set()

    threading.Thread(target=ask, daemon=True).start()
    with pytest.raises(EndedBeforeStartError, match=r"interrupted: .*compiled"):
        library_path({}, {}, ending=Ending(stop))
    assert list((tmp_path / "cache" / "rl_speed" / "emulator").iterdir()) == []
    assert_no_process_stays([int(started.read_text())])


def test_what_was_not_used_for_longest_leaves_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder()
    assert describe_cache().startswith("0 files, 0 of at most 500 MB")
    folder.mkdir(parents=True)
    for age, name in enumerate(("new.so", "used.so", "old.npy", "oldest.so")):
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
