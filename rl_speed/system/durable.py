"""Files that are whole or not there, after a kill and after a power cut too."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


def sync_file(file: IO[Any]) -> None:
    """Brings what was written to the disk: after a power cut a new name must not stand for an empty file."""
    file.flush()
    os.fsync(file.fileno())


def sync_path(path: Path) -> None:
    """The same for a file that something else has written."""
    with path.open("rb+") as file:
        sync_file(file)


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk, where the system has a way to do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text_whole(path: Path, text: str) -> None:
    """Writes text under another name and renames it, so that nobody ever reads half of it.

    Raises:
        OSError: it cannot be written; what was there before is left as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            sync_file(file)
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
