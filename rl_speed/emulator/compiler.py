"""Compiles the emulator for one game with the user's C++ compiler, once: the library is kept in the user's cache.

The library's name is a hash of all that it was made from, so a changed source, game, compiler or processor makes a
new one.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from rl_speed.system import folders
from rl_speed.system.compiler import CompilerMissingError, compiler_version, find_compiler
from rl_speed.system.durable import sync_file
from rl_speed.system.ending import Ending
from rl_speed.system.errors import EndedBeforeStartError, UserError
from rl_speed.system.machine import processor, processor_flags

SOURCE = Path(__file__).parent / "source"
FLAGS = (
    "-std=c++17",
    "-O2",
    "-shared",
    "-fPIC",
    "-pthread",
    # Sums of the resize are rounded after every product, as the reference's are.
    "-ffp-contract=off",
    # Times wrap at 32 bits.
    "-fwrapv",
    "-fno-strict-aliasing",
    "-march=native",
)
# All games, interpreted and as blocks, take a tenth of it; more is left over by other versions and compilers.
CACHE_BYTES = 500_000_000
SAFE_SECONDS = 24 * 3600.0
LOOK_SECONDS = 0.2  # between two looks at whether the run has to end
_KEPT = (".so", ".npy", ".cubin", ".log")  # libraries, where code was found, kernels and what was said of them

_LOGGER = logging.getLogger(__name__)


class EmulatorUnavailableError(UserError):
    """The emulator cannot be had here: no compiler that works, or no place to keep and run what it makes."""


def cache_folder() -> Path:
    """Where compiled libraries are kept: rl_speed/emulator in the user's cache folder."""
    try:
        return folders.cache_folder("emulator")
    except OSError:
        raise EmulatorUnavailableError(
            "XDG_CACHE_HOME: there is no home folder; set it to a folder for compiled code."
        ) from None


def unwritable_cache(error: OSError) -> EmulatorUnavailableError:
    """What to say where the cache cannot be written."""
    return EmulatorUnavailableError(
        f"cache: {cache_folder()} cannot be written ({error.strerror}); set XDG_CACHE_HOME to a folder that can."
    )


# As they were when this program began, whose Python they have to agree with: the files may be replaced while it runs.
_TEXTS = {path.name: path.read_text() for path in sorted(SOURCE.iterdir()) if path.suffix in (".h", ".cpp", ".cu")}


def source_texts() -> dict[str, str]:
    """The emulator's source files, by name."""
    return dict(_TEXTS)


def keep(path: Path, content: bytes) -> None:
    """Writes a file of the cache, which appears when it is whole.

    Raises:
        EmulatorUnavailableError: the cache cannot be written.
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
        EmulatorUnavailableError: it cannot be loaded, e.g. from a file system mounted with noexec.
    """
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise EmulatorUnavailableError(
            f"cache: {path} cannot be loaded ({error}); delete it, or set XDG_CACHE_HOME to a folder that may hold "
            "programs."
        ) from error


def library_path(
    generated: Mapping[str, str],
    defines: Mapping[str, int],
    extra_flags: tuple[str, ...] = (),
    main: str = "batch.cpp",
    subject: str = "the emulator",
    ending: Ending | None = None,
) -> Path:
    """The library for a game, compiled now or found in the cache.

    Args:
        generated: files made for the game, such as rule.inc, by name.
        defines: macros.
        extra_flags: for the compiler, after the usual ones.
        main: the file of source/ that is compiled.
        subject: what is compiled, for the line that says so.
        ending: when compiling has to end unfinished; by default never.

    Raises:
        EndedBeforeStartError: it had to end unfinished.
        EmulatorUnavailableError: there is no C++ compiler that can compile it, or the cache cannot be written.
    """
    command, flags, library = _recipe(generated, defines, extra_flags, main)
    if os.path.exists(library):
        mark_used(library)
        return library
    ending = ending or Ending()
    with _alone(library, ending):
        if not os.path.exists(library):
            _announce(f"compiling {subject}; this is kept in {cache_folder()}")
            _compile(command, flags, generated, main, library, ending)
            trim_cache(library)
    return library


@contextmanager
def _alone(library: Path, ending: Ending) -> Iterator[None]:
    """Whoever wants the same library meanwhile waits for it, in other processes too."""
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(library.with_suffix(".lock"))
        while True:
            try:
                lock.acquire(timeout=LOOK_SECONDS)
                break
            except NotImplementedError:
                break  # a file system without locks: two may compile the same, and the last one's file stays
            except Timeout:
                if ending.reason is not None:
                    raise EndedBeforeStartError(ending.reason, "its emulator was compiled") from None
    except OSError as error:
        raise unwritable_cache(error) from error
    try:
        yield
    finally:
        # Who still waits for the file that is deleted here finds the library made.
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def cached_library(
    generated: Mapping[str, str], defines: Mapping[str, int], extra_flags: tuple[str, ...] = ()
) -> Path | None:
    """The same if it was compiled before; else None."""
    library = _recipe(generated, defines, extra_flags, "batch.cpp")[2]
    if not os.path.exists(library):
        return None
    mark_used(library)
    return library


def _recipe(
    generated: Mapping[str, str], defines: Mapping[str, int], extra_flags: tuple[str, ...], main: str
) -> tuple[tuple[str, ...], list[str], Path]:
    """The compiler's command, its flags, and the library's place."""
    try:
        command = find_compiler()
    except CompilerMissingError as error:
        raise EmulatorUnavailableError(str(error)) from error
    flags = [*FLAGS, *extra_flags, *(f"-D{name}={value}" for name, value in defines.items())]
    parts = [
        *command,
        compiler_version(command),
        platform.machine(),
        processor()["name"],
        processor_flags(),
        *flags,
        main,
    ]
    texts = source_texts()
    for name, text in sorted({**texts, **generated}.items()):
        # Of the files that are compiled by themselves, those that this one is made of.
        if name == main or not name.endswith((".cpp", ".cu")) or f'"{name}"' in texts.get(main, ""):
            parts += [name, text]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return command, flags, cache_folder() / f"{digest}.so"


def _announce(text: str) -> None:
    """One line for whoever waits: in the log or, in a program that has none, on standard error."""
    if _LOGGER.hasHandlers():
        _LOGGER.info(text)
    else:
        print(f"rl_speed: {text}", file=sys.stderr, flush=True)


def mark_used(library: Path) -> None:
    """It was used now, so it is not the first to leave the cache."""
    # Another user's cache may be read-only: then it is not ours to tidy either.
    with suppress(OSError):
        os.utime(library)


def describe_cache() -> str:
    """What the cache holds, as a part of a sentence."""
    try:
        folder = cache_folder()
    except EmulatorUnavailableError as error:
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


def _run(arguments: list[str], ending: Ending) -> str | None:
    """Runs the compiler; None if it succeeds, else what it says."""
    try:
        # A session of its own: Ctrl-C is for this process, which decides.
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
    except OSError as error:
        return f"{arguments[0]} does not start ({error.strerror})"
    with process:
        try:
            while True:
                try:
                    complaint = process.communicate(timeout=LOOK_SECONDS)[1]
                    return None if process.returncode == 0 else complaint.strip()
                except subprocess.TimeoutExpired:
                    if ending.reason is not None:
                        raise EndedBeforeStartError(ending.reason, "its emulator was compiled") from None
        finally:
            if process.poll() is None:
                _kill_group(process.pid)


def _kill_group(leader: int) -> None:
    """Ends the compiler and the processes that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _compile(
    command: tuple[str, ...],
    flags: list[str],
    generated: Mapping[str, str],
    main: str,
    library: Path,
    ending: Ending,
) -> None:
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            for name, text in {**source_texts(), **generated}.items():
                (Path(folder) / name).write_text(text)
            made = Path(folder) / "emulator.so"
            arguments = [*command, *flags, "-I", folder, str(Path(folder) / main), "-o", str(made)]
            complaint = _run(arguments, ending)
            if complaint is not None:
                # Some compilers do not know the processor that they run on.
                complaint = _run([argument for argument in arguments if argument != "-march=native"], ending)
            if complaint is not None:
                raise EmulatorUnavailableError(
                    f"The C++ compiler {' '.join(command)} cannot compile the emulator; install g++ 9 or newer, or "
                    f"clang 10 or newer. It says: {complaint[:400]}"
                )
            with made.open("rb+") as file:
                sync_file(file)
            # Another process may be making the same file: the last one to finish replaces an equal one.
            os.replace(made, library)
    except OSError as error:
        raise unwritable_cache(error) from error
