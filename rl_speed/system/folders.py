"""Where things are kept for the user, outside any run."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """`rl_speed/<name>` in the user's cache folder; nothing is made there.

    Raises:
        OSError: there is no home folder.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(base or Path.home() / ".cache") / "rl_speed" / name
    except RuntimeError:
        raise OSError("there is no home folder") from None
