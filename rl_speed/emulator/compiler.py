"""The emulator's source, and how it is compiled for a game."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rl_speed.system.native_code import Program

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

# As they were when this program began, whose Python they have to agree with: the files may be replaced while it runs.
_TEXTS = {path.name: path.read_text() for path in sorted(SOURCE.iterdir()) if path.suffix in (".h", ".cpp", ".cu")}


def source_texts() -> dict[str, str]:
    """The emulator's source files, by name."""
    return dict(_TEXTS)


def emulator_program(
    subject: str,
    generated: Mapping[str, str],
    defines: Mapping[str, int],
    extra_flags: tuple[str, ...] = (),
    main: str = "batch.cpp",
) -> Program:
    """What the library for a game is made of.

    Args:
        subject: what it is, for the user.
        generated: files made for the game, such as rule.inc, by name.
        defines: macros.
        extra_flags: for the compiler, after the usual ones.
        main: the file of source/ that is compiled.
    """
    texts = source_texts()
    # Of the files that are compiled by themselves, those that this one is made of.
    used = {
        name: text
        for name, text in texts.items()
        if name == main or not name.endswith((".cpp", ".cu")) or f'"{name}"' in texts[main]
    }
    flags = (*FLAGS, *extra_flags, *(f"-D{name}={value}" for name, value in defines.items()))
    return Program(subject, main, {**used, **generated}, flags)
