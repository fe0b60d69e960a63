"""Tables and lists in the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rl_speed.report.tables import TextTable

MOST_UNBROKEN = 20  # characters of a cell that stay on one line


def styled(text: str) -> Text:
    """A sentence whose names in backticks are bold instead."""
    parts = re.split(r"`([^`]+)`", text)  # every second part stood in backticks
    return Text.assemble(*((part, "bold" if place % 2 else "") for place, part in enumerate(parts)))


def lines_table(lines: Sequence[dict[str, str]], title: str) -> Table:
    """Labels and their texts, side by side."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2, 0, 0)
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for line in lines:
        table.add_row(Text(line["label"]), styled(line["text"]))
    return table


def number_table(table: TextTable, right: bool = True) -> Table:
    """A table of the report; its columns stand at the right unless they hold words."""
    drawn = Table(
        title=table.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for place, header in enumerate(table.header):
        longest = max((len(line[place]) for line in table.lines), default=0)
        if place == 0:
            drawn.add_column(header, min_width=min(longest, MOST_UNBROKEN))
        elif right:  # a header wraps before a number does
            width = max(longest, *(len(word) for word in header.split()), 1)
            drawn.add_column(header, justify="right", width=width)
        else:
            drawn.add_column(header)
    for line in table.lines:
        drawn.add_row(*(Text(cell) for cell in line))
    return drawn


def print_tables(console: Console, tables: Sequence[TextTable], right: bool = True) -> None:
    """Prints tables with their notes."""
    for table in tables:
        console.print(number_table(table, right))
        for note in table.notes:
            console.print(Padding(styled(note), (0, 0, 0, 2)))
        if table.notes:
            console.print()
