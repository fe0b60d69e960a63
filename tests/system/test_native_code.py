"""C++ that is compiled when it is needed: no place for it, no time for it, and no compiler that can."""

import os
import shlex
import threading
import time

import pytest

from rl_speed.system import native_code
from rl_speed.system.code_cache import NativeCodeError, cache_folder, load_library
from rl_speed.system.compiler import find_compiler
from rl_speed.system.ending import Ending
from rl_speed.system.errors import EndedBeforeStartError, UserError
from rl_speed.system.native_code import Program, cached_library, library_path
from tests.command_line import assert_no_process_stays

TEXTS = {"sum.cpp": '#include "sum.h"\nextern "C" int sum(int a, int b) { return SUM; }', "sum.h": "#define SUM a + b"}
PROGRAM = Program("a sum", "sum.cpp", TEXTS, ("-shared", "-fPIC", "-march=native"))


@pytest.fixture
def use_compiler(monkeypatch, tmp_path, request):
    """Takes a shell script for the compiler, and an empty cache."""

    def use(script):
        path = tmp_path / "compiler"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        find_compiler.cache_clear()
        request.addfinalizer(find_compiler.cache_clear)

    return use


def test_unwritable_cache(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set XDG_CACHE_HOME to a folder that can"):
        library_path(PROGRAM)


@pytest.mark.skipif(os.name != "posix", reason="the compiler is a shell script")
def test_a_run_that_has_to_end_does_not_wait_for_the_compiler(tmp_path, use_compiler):
    started = tmp_path / "started"
    # It starts a process of its own, as compilers do.
    use_compiler(f'[ "$1" = --version ] && echo 1 && exit\nsleep 600 & echo $! > {started}\nwait')
    stop = threading.Event()

    def ask():
        while not (started.is_file() and started.read_text().strip()):
            time.sleep(0.01)
        stop.set()

    threading.Thread(target=ask, daemon=True).start()
    with pytest.raises(EndedBeforeStartError, match=r"interrupted: .*a sum was compiled"):
        library_path(PROGRAM, Ending(stop))
    assert list((tmp_path / "cache" / "rl_speed" / "emulator").iterdir()) == []
    assert_no_process_stays([int(started.read_text())])


def test_a_library_is_compiled_once_and_anew_when_anything_changes(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cached_library(PROGRAM) is None
    path = library_path(PROGRAM)
    assert load_library(path).sum(3, 4) == 7
    assert cached_library(PROGRAM) == path
    monkeypatch.setattr(native_code, "_run", None)
    assert library_path(PROGRAM) == path
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    product = Program("a product", "sum.cpp", {**TEXTS, "sum.h": "#define SUM a * b"}, PROGRAM.flags)
    other_flags = Program("a sum", "sum.cpp", TEXTS, (*PROGRAM.flags, "-O2"))
    assert load_library(library_path(product)).sum(3, 4) == 12
    assert len({path, library_path(product), library_path(other_flags)}) == 3


def test_what_cannot_be_compiled_is_told_in_the_compilers_words(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    broken = Program("a sum", "sum.cpp", {**TEXTS, "sum.h": "#error no sum today"}, PROGRAM.flags)
    with pytest.raises(NativeCodeError, match=r"(?s)cannot compile a sum; install g\+\+ .*no sum today"):
        library_path(broken)
    assert [path for path in cache_folder().iterdir() if path.suffix != ".lock"] == []


@pytest.mark.skipif(os.name != "posix", reason="the compiler is a shell script")
def test_a_compiler_that_does_not_know_the_processor_compiles_for_any(use_compiler):
    command = shlex.join(find_compiler())
    use_compiler(f'for a; do [ "$a" = -march=native ] && exit 1; done\nexec {command} "$@"')
    assert load_library(library_path(PROGRAM)).sum(1, 2) == 3
