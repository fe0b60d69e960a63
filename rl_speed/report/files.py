"""Where a report is written."""

from __future__ import annotations

from pathlib import Path

from rl_speed.system.errors import UserError


def check_writable(folder: Path) -> None:
    """Makes the folder and tries a file in it; raises UserError with a sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".rl_speed_probe"
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        raise UserError(f"--out {folder} cannot be written ({error}); choose another folder") from None
