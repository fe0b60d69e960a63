"""Compiles the emulator for one game with the user's C++ compiler, once: the library is kept in the user's cache.

The library's name is a hash of all that it was made from, so a changed source, game, compiler or processor makes a
new one.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rl_speed.system.errors import UserError
from rl_speed.system.machine import processor_name

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


class CompilerMissingError(UserError):
    """There is no C++ compiler that works."""


def cache_folder() -> Path:
    """Where compiled libraries are kept: rl_speed/emulator in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(base or Path.home() / ".cache") / "rl_speed" / "emulator"
    except RuntimeError:
        raise UserError("XDG_CACHE_HOME: there is no home folder; set it to a folder for compiled code.") from None


def unwritable_cache(error: OSError) -> UserError:
    """What to say where the cache cannot be written."""
    return UserError(
        f"cache: {cache_folder()} cannot be written ({error.strerror}); set XDG_CACHE_HOME to a folder that can."
    )


@functools.cache
def find_compiler() -> tuple[str, ...]:
    """The command of a C++ compiler: $CXX, one on the path, or the one in the package ziglang.

    Raises:
        CompilerMissingError: there is none.
    """
    chosen = os.environ.get("CXX", "").strip()
    for command in [tuple(shlex.split(chosen))] if chosen else [("c++",), ("g++",), ("clang++",)]:
        if shutil.which(command[0]) and _compiler_version(command):
            return command
    if chosen:
        raise CompilerMissingError(f"CXX: {chosen!r} is no compiler that starts; name a C++ compiler, or unset CXX.")
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "c++")
    raise CompilerMissingError(
        "The emulator needs a C++ compiler and none was found: install g++ or clang, or run `pip install ziglang`."
    )


@functools.cache
def _compiler_version(command: tuple[str, ...]) -> str:
    """What it says of itself; empty if it does not start."""
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _processor_features() -> str:
    """What -march=native goes by, where the system says it; one name of a processor may have several sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def source_texts() -> dict[str, str]:
    """The emulator's source files, by name."""
    return {path.name: path.read_text() for path in sorted(SOURCE.iterdir()) if path.suffix in (".h", ".cpp", ".cu")}


def load_library(path: Path) -> ctypes.CDLL:
    """A library that was compiled.

    Raises:
        UserError: it cannot be loaded.
    """
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise UserError(
            f"cache: {path} cannot be loaded ({error}); delete it, or set XDG_CACHE_HOME to a folder that may hold "
            "programs."
        ) from error


def library_path(
    generated: Mapping[str, str],
    defines: Mapping[str, int],
    extra_flags: tuple[str, ...] = (),
    main: str = "batch.cpp",
) -> Path:
    """The library for a game, compiled now or found in the cache.

    Args:
        generated: files made for the game, such as rule.inc, by name.
        defines: macros.
        extra_flags: for the compiler, after the usual ones.
        main: the file of source/ that is compiled.

    Raises:
        CompilerMissingError: there is no C++ compiler that can compile it.
        UserError: the cache cannot be written.
    """
    command = find_compiler()
    flags = [*FLAGS, *extra_flags, *(f"-D{name}={value}" for name, value in defines.items())]
    parts = [
        *command,
        _compiler_version(command),
        platform.machine(),
        processor_name(),
        _processor_features(),
        *flags,
        main,
    ]
    texts = source_texts()
    for name, text in sorted({**texts, **generated}.items()):
        # Of the files that are compiled by themselves, those that this one is made of.
        if name == main or not name.endswith((".cpp", ".cu")) or f'"{name}"' in texts.get(main, ""):
            parts += [name, text]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    library = cache_folder() / f"{digest}.so"
    if not os.path.exists(library):
        _compile(command, flags, generated, main, library)
    return library


def _run(arguments: list[str]) -> str | None:
    """Runs the compiler; None if it succeeds, else what it says."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{arguments[0]} does not start ({error.strerror})"
    return None if done.returncode == 0 else done.stderr.strip()


def _compile(
    command: tuple[str, ...], flags: list[str], generated: Mapping[str, str], main: str, library: Path
) -> None:
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            for name, text in generated.items():
                (Path(folder) / name).write_text(text)
            made = Path(folder) / "emulator.so"
            arguments = [*command, *flags, "-I", folder, "-I", str(SOURCE), str(SOURCE / main), "-o", str(made)]
            said = _run(arguments)
            if said is not None:
                # Some compilers do not know the processor that they run on.
                said = _run([argument for argument in arguments if argument != "-march=native"])
            if said is not None:
                raise CompilerMissingError(
                    f"The C++ compiler {' '.join(command)} cannot compile the emulator; install g++ 9 or newer, or "
                    f"clang 10 or newer. It says: {said[:400]}"
                )
            # Another process may be making the same file: the last one to finish replaces an equal one.
            os.replace(made, library)
    except OSError as error:
        raise unwritable_cache(error) from error
