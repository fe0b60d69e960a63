"""The folder of an export: filled under a hidden name, and renamed when it is whole."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from rl_speed.exports.formats import FORMATS
from rl_speed.system.durable import sync_folder
from rl_speed.system.errors import UserError
from rl_speed.training.checkpoint.folders import EXPORT_FILE, is_export

PAGE, CURVE, VIDEO = "README.md", "curve.svg", "replay.mp4"  # the hub shows a video of this name
OURS = {EXPORT_FILE, PAGE, CURVE, VIDEO, *(form.file for form in FORMATS.values())}


def check_folder(path: Path) -> None:
    """Refuses a folder that holds anything but an older export, and the one in which the user stands.

    Raises:
        UserError: it does, or it is no folder.
    """
    try:
        if not path.exists():
            return
        is_here = Path.cwd().is_relative_to(path.resolve())
        names = {item.name for item in path.iterdir()}
    except OSError as error:
        raise _unwritable(path, error) from None
    if is_here:
        raise UserError(
            f"--out {path} is the working directory, and the export's folder is made anew; name another one"
        )
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
    partial, replaced = (final.with_name(f".{final.name}.{os.getpid()}.{word}") for word in ("partial", "replaced"))
    made: list[Path] = []  # folders above it, highest first
    try:
        with writing(path):
            _clear_up(final)
            made = _make_parents(final)
            partial.mkdir()
        yield partial
        check_folder(final)  # somebody may have put something there meanwhile
        with writing(path):
            sync_folder(partial)
            _take_place(partial, final, replaced)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in reversed(made):
            with suppress(OSError):  # somebody else has put something there
                folder.rmdir()
        raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes to an export's folder: an OSError becomes a sentence for the user.

    Args:
        path: of the export, as the user named it.

    Raises:
        UserError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from None


def _make_parents(final: Path) -> list[Path]:
    """Makes the folders above an export; gives those that were not there, highest first."""
    missing = [folder for folder in reversed(final.parents) if not folder.exists()]
    final.parent.mkdir(parents=True, exist_ok=True)
    return missing


def _take_place(partial: Path, final: Path, replaced: Path) -> None:
    """Gives the new export its name; whatever happens, the older one or the new one has it then."""
    try:
        if final.exists():
            final.rename(replaced)
        partial.rename(final)
    finally:
        if replaced.exists() and not final.exists():
            replaced.rename(final)
    sync_folder(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _clear_up(final: Path) -> None:
    """Clears up after exports to this folder that were killed, and leaves alone those that are being written."""
    for word in ("replaced", "partial"):
        for leftover in final.parent.glob(f".{glob.escape(final.name)}.*.{word}"):
            number = leftover.name.split(".")[-2]
            if not number.isdecimal() or (int(number) != os.getpid() and psutil.pid_exists(int(number))):
                continue
            if word == "replaced" and not final.exists():  # it was killed between two names
                leftover.rename(final)
            shutil.rmtree(leftover, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"--out {path} cannot be written ({error}); make room or choose another folder")
