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
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rl_speed.errors import UserError
from rl_speed.machine import processor_name

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
    """There is no C++ compiler."""


def cache_folder() -> Path:
    """Where compiled libraries are kept: rl_speed/emulator in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "rl_speed" / "emulator"


@functools.cache
def find_compiler() -> tuple[str, ...]:
    """The command of a C++ compiler: $CXX, one on the path, or the one in the package ziglang.

    Raises:
        CompilerMissingError: there is none.
    """
    chosen = os.environ.get("CXX")
    for name in [chosen] if chosen else ["c++", "g++", "clang++"]:
        if shutil.which(name):
            return (name,)
    if chosen:
        raise CompilerMissingError(f"CXX: there is no command {chosen!r}; name a C++ compiler, or unset CXX.")
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "c++")
    raise CompilerMissingError(
        "The emulator needs a C++ compiler and none was found: install g++ or clang, or run `pip install ziglang`."
    )


@functools.cache
def _compiler_version(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        raise CompilerMissingError(
            f"CXX: {command[0]} does not start ({error.strerror}); install g++ or clang."
        ) from error
    return done.stdout


def source_texts() -> dict[str, str]:
    """The emulator's source files, by name."""
    return {path.name: path.read_text() for path in sorted(SOURCE.iterdir()) if path.suffix in (".h", ".cpp", ".cu")}


def compile_library(
    generated: Mapping[str, str],
    defines: Mapping[str, int],
    extra_flags: tuple[str, ...] = (),
    main: str = "batch.cpp",
) -> ctypes.CDLL:
    """The library for a game, compiled now or found in the cache.

    Args:
        generated: files made for the game, such as rule.inc, by name.
        defines: macros.
        extra_flags: for the compiler, after the usual ones.
        main: the file of source/ that is compiled.

    Raises:
        CompilerMissingError: there is no C++ compiler.
        UserError: it fails, or the cache cannot be written.
    """
    return ctypes.CDLL(str(library_path(generated, defines, extra_flags, main)))


def library_path(
    generated: Mapping[str, str],
    defines: Mapping[str, int],
    extra_flags: tuple[str, ...] = (),
    main: str = "batch.cpp",
) -> Path:
    """See compile_library: the file itself."""
    command = find_compiler()
    flags = [*FLAGS, *extra_flags, *(f"-D{name}={value}" for name, value in defines.items())]
    parts = [*command, _compiler_version(command), platform.machine(), processor_name(), *flags, main]
    for name, text in sorted({**source_texts(), **generated}.items()):
        parts += [name, text]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    library = cache_folder() / f"{digest}.so"
    if not library.exists():
        _compile(command, flags, generated, main, library)
    return library


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
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise UserError(
                    f"The C++ compiler {' '.join(command)} cannot compile the emulator; install g++ 9 or newer, or "
                    f"clang 10 or newer. It says: {done.stderr.strip()[:400]}"
                )
            # Another process may be making the same file: the last one to finish replaces an equal one.
            os.replace(made, library)
    except OSError as error:
        raise UserError(
            f"cache: {library.parent} cannot be written ({error.strerror}); set XDG_CACHE_HOME to a folder that can."
        ) from error
