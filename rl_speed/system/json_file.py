"""Results for machines: JSON files that appear only when they are whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rl_speed.system.durable import write_text_whole
from rl_speed.system.errors import UserError


def write_whole(path: Path, content: Any) -> None:
    """Writes JSON that nobody ever reads half of.

    Raises:
        OSError: it cannot be written; what was there before is left as it was.
    """
    write_text_whole(path, json.dumps(content, indent=2) + "\n")


def check_json_path(path: Path | None) -> None:
    """Refuses a path that cannot be written, before the work is done.

    Raises:
        UserError: it is a folder, or its folder does not exist.
    """
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"--json {path} is a folder; give the path of a file in it")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--json {path} lies in a folder that does not exist; make it or choose another path")


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Writes the content, if there is a path.

    Raises:
        UserError: it cannot be written.
    """
    if path is None:
        return
    try:
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"--json {path} cannot be written ({error}); choose another path") from None
