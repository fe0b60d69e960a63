"""Tables of text, the same for the terminal, for Markdown and for a page."""

from __future__ import annotations

from dataclasses import dataclass

NOTHING = "-"  # a cell of what was not measured


@dataclass(frozen=True)
class TextTable:
    """A table with the notes below it.

    Attributes:
        kind: of what its cells hold, numbers or words.
    """

    title: str
    header: list[str]
    lines: list[list[str]]
    notes: list[str]
    kind: str = "numbers"


def number(value: float | None, digits: int = 1) -> str:
    """A number with thousands apart; a dash for what was not measured."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.{digits}f}"
