"""The C++ compiler of this machine, found once and for all that needs one."""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys

from rl_speed.system.errors import UserError

CANDIDATES = ("c++", "g++", "clang++")
VERSION_SECONDS = 60.0


class CompilerMissingError(UserError):
    """There is no C++ compiler that works."""


@functools.cache
def find_compiler() -> tuple[str, ...]:
    """The command of a C++ compiler: $CXX, one on the path, or the one in the package ziglang.

    Raises:
        CompilerMissingError: there is none that starts.
    """
    chosen = os.environ.get("CXX", "").strip()
    for command in _words(chosen) if chosen else [(name,) for name in CANDIDATES]:
        if shutil.which(command[0]) and compiler_version(command):
            return command
    if chosen:
        raise CompilerMissingError(f"CXX: {chosen!r} is no compiler that starts; name a C++ compiler, or unset CXX.")
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "c++")
    raise CompilerMissingError("No C++ compiler was found: install g++ or clang, or run `pip install ziglang`.")


def _words(text: str) -> list[tuple[str, ...]]:
    """The command that a text is; none if its quotes do not close."""
    try:
        return [tuple(shlex.split(text))]
    except ValueError:
        return []


@functools.cache
def compiler_version(command: tuple[str, ...]) -> str:
    """What a compiler says of itself; empty if it does not start."""
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def compiler_of_torch() -> str | None:
    """The compiler that torch.compile would use for CPU code; None if it has none that starts.

    torch takes a program's name from $CXX or the path; a command of several words, as ziglang's, is none.
    """
    try:
        command = find_compiler()
    except CompilerMissingError:
        return None
    return command[0] if len(command) == 1 else None
