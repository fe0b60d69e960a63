"""The commit of this project that runs."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path


def commit() -> str | None:
    """The source's commit, with a mark if files differ from it; None outside a checkout."""
    folder = str(Path(__file__).parent)
    with suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(
            ["git", "-C", folder, "describe", "--always", "--abbrev=9", "--dirty", "--exclude=*"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
        return answer.stdout.strip() or None
    return None
