"""The commit of this project that runs."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path


def commit() -> str | None:
    """The source's commit, with a mark if files differ from it; None outside a checkout."""
    path = Path(__file__)
    with suppress(OSError, subprocess.SubprocessError):
        _git(path.parent, "ls-files", "--error-unmatch", path.name)  # it may be installed inside of another project
        return _git(path.parent, "describe", "--always", "--abbrev=9", "--dirty", "--exclude=*") or None
    return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
