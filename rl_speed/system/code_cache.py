"""Compiled code that is kept for the user: one folder, bounded, whose files appear when they are whole."""

from __future__ import annotations

import ctypes
import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

from rl_speed.system import folders
from rl_speed.system.durable import sync_file
from rl_speed.system.errors import UserError

# All games, interpreted and as blocks, take a tenth of it; more is left over by other versions and compilers.
CACHE_BYTES = 500_000_000
SAFE_SECONDS = 24 * 3600.0
_KEPT = (".so", ".npy", ".cubin", ".log")  # libraries, where code was found, kernels and what was said of them


class NativeCodeError(UserError):
    """Compiled code cannot be had here: no compiler that works, or no place to keep and run what it makes."""


def cache_folder() -> Path:
    """Where compiled code is kept: rl_speed/emulator in the user's cache folder, after what most of it is."""
    try:
        return folders.cache_folder("emulator")
    except OSError:
        raise NativeCodeError(
            "XDG_CACHE_HOME: there is no home folder; set it to a folder for compiled code."
        ) from None


def unwritable_cache(error: OSError) -> NativeCodeError:
    """What to say where the cache cannot be written."""
    return NativeCodeError(
        f"cache: {cache_folder()} cannot be written ({error.strerror}); set XDG_CACHE_HOME to a folder that can."
    )


def keep(path: Path, content: bytes) -> None:
    """Writes a file of the cache, which appears when it is whole.

    Raises:
        NativeCodeError: the cache cannot be written.
    """
    # One of its own, in whatever process or thread; and readable for others as the user wants new files to be.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            sync_file(file)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise unwritable_cache(error) from error


def load_library(path: Path) -> ctypes.CDLL:
    """A library that was compiled.

    Raises:
        NativeCodeError: it cannot be loaded, e.g. from a file system mounted with noexec.
    """
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeCodeError(
            f"cache: {path} cannot be loaded ({error}); delete it, or set XDG_CACHE_HOME to a folder that may hold "
            "programs."
        ) from error


def mark_used(library: Path) -> None:
    """It was used now, so it is not the first to leave the cache."""
    # Another user's cache may be read-only: then it is not ours to tidy either.
    with suppress(OSError):
        os.utime(library)


def describe_cache() -> str:
    """What the cache holds, as a part of a sentence."""
    try:
        folder = cache_folder()
    except NativeCodeError as error:
        return str(error)
    sizes = [size for _, size, _ in _cached_files()]
    return f"{len(sizes)} files, {sum(sizes) / 1e6:.0f} of at most {CACHE_BYTES / 1e6:.0f} MB, in {folder}"


def _cached_files() -> list[tuple[float, int, Path]]:
    """(time of last use, bytes, path) of what is kept."""
    files = []
    try:
        paths = list(cache_folder().iterdir())
    except OSError:
        return []
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            if path.suffix in _KEPT:
                files.append((status.st_mtime, status.st_size, path))
    return files


def trim_cache(newest: Path, most_bytes: int = CACHE_BYTES) -> None:
    """Deletes what was not used for longest, until no more than so many bytes are left.

    Never the newest library, and nothing that was used within a day: a process may be about to load it. What compilers
    that were killed have left goes as well, after a day.
    """
    _clear_leftovers()
    files = sorted(_cached_files())
    size = sum(size for _, size, _ in files)
    for used, bytes_, path in files:
        if size <= most_bytes or used > time.time() - SAFE_SECONDS:
            return
        if path != newest:
            with suppress(OSError):
                path.unlink()
                size -= bytes_


def _clear_leftovers() -> None:
    try:
        paths = list(cache_folder().iterdir())
    except OSError:
        return
    for path in paths:
        with suppress(OSError):
            is_leftover = path.suffix in (".tmp", ".lock") or (path.name.startswith("tmp") and path.is_dir())
            if not is_leftover or path.stat().st_mtime > time.time() - SAFE_SECONDS:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
