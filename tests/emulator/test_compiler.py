"""No place for what the compiler makes, and no time to make it."""

import os
import threading
import time
from pathlib import Path

import pytest

from rl_speed.emulator import compiler
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
    slow, started = tmp_path / "slow", tmp_path / "started"
    # It starts a process of its own, as compilers do.
    slow.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 1 && exit\nsleep 600 & echo $! > {started}\nwait\n')
    slow.chmod(0o755)
    monkeypatch.setenv("CXX", str(slow))
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


def test_what_is_compiled_is_what_was_read_when_the_program_began(monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "SOURCE", tmp_path / "replaced")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled = []

    def run(arguments, ending):
        (main,) = [argument for argument in arguments if argument.endswith("batch.cpp")]
        compiled.append(Path(main).read_text())
        Path(arguments[-1]).write_text("")

    monkeypatch.setattr(compiler, "_run", run)
    library_path({"rule.inc": ""}, {})
    assert compiled == [compiler.source_texts()["batch.cpp"]]


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
