"""One compiler for all that needs one."""

import stat

import pytest

from rl_speed.system import compiler
from rl_speed.system.compiler import CompilerMissingError, find_compiler


@pytest.fixture
def fresh(monkeypatch):
    """Compilers are looked for anew, before and after."""
    compiler.find_compiler.cache_clear()
    compiler.compiler_version.cache_clear()
    monkeypatch.delenv("CXX", raising=False)
    yield monkeypatch
    compiler.find_compiler.cache_clear()
    compiler.compiler_version.cache_clear()


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_one_that_does_not_start_is_passed_over(fresh, tmp_path):
    script(tmp_path / "c++", "exit 1")
    script(tmp_path / "clang++", "echo clang version 18")
    fresh.setenv("PATH", f"{tmp_path}:/bin" if (tmp_path / "sh").exists() else str(tmp_path))
    assert compiler.find_compiler() == ("clang++",)
    assert compiler.compiler_of_torch() == "clang++"


def test_one_that_is_named_has_to_start(fresh, tmp_path):
    broken = script(tmp_path / "broken", "exit 1")
    fresh.setenv("CXX", str(broken))
    with pytest.raises(compiler.CompilerMissingError, match="is no compiler that starts; name a C\\+\\+ compiler"):
        compiler.find_compiler()
    assert compiler.compiler_of_torch() is None


def test_the_package_ziglang_is_one_but_not_for_torch(fresh, tmp_path):
    fresh.setenv("PATH", str(tmp_path))
    fresh.setattr(compiler.importlib.util, "find_spec", lambda name: object() if name == "ziglang" else None)
    assert compiler.find_compiler()[1:] == ("-m", "ziglang", "c++")
    assert compiler.compiler_of_torch() is None


def test_no_compiler(fresh):
    fresh.setattr(compiler.shutil, "which", lambda name: None)
    fresh.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CompilerMissingError, match="install g\\+\\+ or clang, or run `pip install ziglang`"):
        find_compiler()
    fresh.setenv("CXX", "no-such-compiler")
    with pytest.raises(CompilerMissingError, match="CXX: 'no-such-compiler' is no compiler that starts"):
        find_compiler()
    find_compiler.cache_clear()
    fresh.setenv("CXX", "g++ '-O2")
    with pytest.raises(CompilerMissingError, match="is no compiler that starts"):
        find_compiler()
