"""Results for machines: JSON files that appear only when they are whole."""

from __future__ import annotations

import json
import os
import tempfile
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
        UserError: it is a folder, or nothing can be written there.
    """
    if path is None:
        return
    try:
        if path.is_dir():
            raise UserError(f"--json {path} is a folder; give the path of a file in it")
        if not _is_device(path):
            descriptor, probe = tempfile.mkstemp(dir=path.resolve().parent, suffix=path.name)
            os.close(descriptor)
            os.unlink(probe)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--json {path} cannot be written ({reason}); choose another path") from None


def _is_device(path: Path) -> bool:
    """Such as /dev/stdout: it is written to, not replaced."""
    return path.exists() and not path.is_file()


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Writes the content, if there is a path.

    Raises:
        UserError: it cannot be written.
    """
    if path is None:
        return
    try:
        if _is_device(path):
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        else:
            write_whole(path.resolve(), content)  # a link goes on leading to the file
    except OSError as error:
        raise UserError(f"--json {path} cannot be written ({error}); choose another path") from None
