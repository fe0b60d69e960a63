"""No compiler, and no place for what it makes."""

import pytest

from rl_speed.emulator import compiler
from rl_speed.emulator.compiler import CompilerMissingError, find_compiler, library_path
from rl_speed.system.errors import UserError


def test_no_compiler(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    find_compiler.cache_clear()
    with pytest.raises(CompilerMissingError, match="install g\\+\\+ or clang, or run `pip install ziglang`"):
        find_compiler()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CompilerMissingError, match="CXX: 'no-such-compiler' is no compiler that starts"):
        find_compiler()
    find_compiler.cache_clear()


def test_unwritable_cache(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set XDG_CACHE_HOME to a folder that can"):
        library_path({}, {})
