"""No place for what the compiler makes."""

import pytest

from rl_speed.emulator.compiler import library_path
from rl_speed.system.errors import UserError


def test_unwritable_cache(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set XDG_CACHE_HOME to a folder that can"):
        library_path({}, {})
