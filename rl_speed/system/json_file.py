"""Results for machines: one JSON file that the user asked for with --json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rl_speed.system.errors import UserError


def check_json_path(path: Path | None) -> None:
    """Refuses a path that cannot be written, before the work is done.

    Raises:
        UserError: its folder does not exist.
    """
    if path is not None and not path.absolute().parent.is_dir():
        raise UserError(f"--json {path} lies in a folder that does not exist; make it or choose another path")


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Writes the content, if there is a path.

    Raises:
        UserError: it cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--json {path} cannot be written ({error}); choose another path") from None
