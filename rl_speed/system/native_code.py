"""Compiles C++ with the user's compiler, once: the library is kept in the user's cache.

The library's name is a hash of all that it was made from, so a changed source, compiler or processor makes a new one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from rl_speed.system.code_cache import NativeCodeError, cache_folder, mark_used, trim_cache, unwritable_cache
from rl_speed.system.compiler import CompilerMissingError, compiler_version, find_compiler
from rl_speed.system.durable import sync_file
from rl_speed.system.ending import Ending
from rl_speed.system.errors import EndedBeforeStartError
from rl_speed.system.machine import processor, processor_flags

LOOK_SECONDS = 0.2  # between two looks at whether the run has to end

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """What a library is made of.

    Attributes:
        subject: what it is, for the user.
        main: the file that is compiled.
        texts: that file and those that it includes, by name.
        flags: for the compiler.
    """

    subject: str
    main: str
    texts: Mapping[str, str]
    flags: tuple[str, ...]


def library_path(program: Program, ending: Ending | None = None) -> Path:
    """The library, compiled now or found in the cache.

    Args:
        program: what it is made of.
        ending: when compiling has to end unfinished; by default never.

    Raises:
        EndedBeforeStartError: it had to end unfinished.
        NativeCodeError: there is no C++ compiler that can compile it, or the cache cannot be written.
    """
    command, library = _recipe(program)
    if os.path.exists(library):
        mark_used(library)
        return library
    ending = ending or Ending()
    with _alone(program, library, ending):
        if not os.path.exists(library):
            _announce(f"compiling {program.subject}; this is kept in {cache_folder()}")
            _compile(command, program, library, ending)
            trim_cache(library)
    return library


def cached_library(program: Program) -> Path | None:
    """The same if it was compiled before; else None."""
    library = _recipe(program)[1]
    if not os.path.exists(library):
        return None
    mark_used(library)
    return library


@contextmanager
def _alone(program: Program, library: Path, ending: Ending) -> Iterator[None]:
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
                    raise EndedBeforeStartError(ending.reason, f"{program.subject} was compiled") from None
    except OSError as error:
        raise unwritable_cache(error) from error
    try:
        yield
    finally:
        # Who still waits for the file that is deleted here finds the library made.
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def _recipe(program: Program) -> tuple[tuple[str, ...], Path]:
    """The compiler's command, and the library's place."""
    try:
        command = find_compiler()
    except CompilerMissingError as error:
        raise NativeCodeError(str(error)) from error
    parts = [
        *command,
        compiler_version(command),
        platform.machine(),
        processor()["name"],
        processor_flags(),
        *program.flags,
        program.main,
    ]
    for name, text in sorted(program.texts.items()):
        parts += [name, text]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return command, cache_folder() / f"{digest}.so"


def _announce(text: str) -> None:
    """One line for whoever waits: in the log or, in a program that has none, on standard error."""
    if _LOGGER.hasHandlers():
        _LOGGER.info(text)
    else:
        print(f"rl_speed: {text}", file=sys.stderr, flush=True)


def _run(arguments: list[str], subject: str, ending: Ending) -> str | None:
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
                        raise EndedBeforeStartError(ending.reason, f"{subject} was compiled") from None
        finally:
            if process.poll() is None:
                _kill_group(process.pid)


def _kill_group(leader: int) -> None:
    """Ends the compiler and the processes that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _compile(command: tuple[str, ...], program: Program, library: Path, ending: Ending) -> None:
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            for name, text in program.texts.items():
                (Path(folder) / name).write_text(text)
            made = Path(folder) / "library.so"
            arguments = [*command, *program.flags, "-I", folder, str(Path(folder) / program.main), "-o", str(made)]
            complaint = _run(arguments, program.subject, ending)
            if complaint is not None:
                # Some compilers do not know the processor that they run on.
                arguments = [argument for argument in arguments if argument != "-march=native"]
                complaint = _run(arguments, program.subject, ending)
            if complaint is not None:
                raise NativeCodeError(
                    f"The C++ compiler {' '.join(command)} cannot compile {program.subject}; install g++ 9 or newer, "
                    f"or clang 10 or newer. It says: {complaint[:400]}"
                )
            with made.open("rb+") as file:
                sync_file(file)
            # Another process may be making the same file: the last one to finish replaces an equal one.
            os.replace(made, library)
    except OSError as error:
        raise unwritable_cache(error) from error
