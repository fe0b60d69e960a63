"""The folder of an export: filled under a hidden name, and renamed when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rl_speed.exports.formats import FORMATS
from rl_speed.system.durable import sync_folder
from rl_speed.system.errors import UserError
from rl_speed.training.checkpoint.folders import EXPORT_FILE, is_export

PAGE, CURVE, VIDEO = "README.md", "curve.svg", "replay.mp4"  # the hub shows a video of this name
OURS = {EXPORT_FILE, PAGE, CURVE, VIDEO, *(form.file for form in FORMATS.values())}


def check_folder(path: Path) -> None:
    """Refuses a folder that holds anything but an older export.

    Raises:
        UserError: it does, or it is no folder.
    """
    try:
        if not path.exists():
            return
        names = {item.name for item in path.iterdir()}
    except OSError as error:
        raise _unwritable(path, error) from None
    if names and not (is_export(path) and names <= OURS):
        others = sorted(names - OURS) or sorted(names)
        raise UserError(
            f"--out {path} is not empty and no export of rl_speed alone (it holds {others[0]}); choose another folder"
        )


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to be filled, which takes the place of `path` when the block is over; without a trace if it fails.

    Args:
        path: of the export; an older one that is there stays as it is until then.

    Raises:
        UserError: it cannot be written, or holds something else.
    """
    check_folder(path)
    final = path.resolve()
    partial, replaced = (final.with_name(f".{final.name}.{word}") for word in ("partial", "replaced"))
    try:
        if replaced.exists() and not final.exists():  # an earlier export was killed between two names
            replaced.rename(final)
        for leftover in (partial, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        sync_folder(partial)
        if final.exists():
            final.rename(replaced)
        partial.rename(final)
        sync_folder(final.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"--out {path} cannot be written ({error}); make room or choose another folder")
