"""The report in the terminal: the verdict first, then a short table per group, then the details."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from rl_speed.bench.show.tables import (
    SHORT_SPEEDS,
    SHORT_TIMES,
    solve_tables,
    speed_tables,
    time_tables,
)
from rl_speed.report.terminal import lines_table, print_tables


def print_report(content: dict[str, Any], console: Console) -> None:
    """Prints a bench's content."""
    if content["verdict"]:
        console.print(lines_table(content["verdict"], "Verdict"))
        console.print()
    print_tables(console, speed_tables(content, SHORT_SPEEDS))
    print_tables(console, time_tables(content, SHORT_TIMES), right=False)
    print_tables(console, solve_tables(content))
    if content["details"]:
        console.print(lines_table(content["details"], "Details"))
        console.print()
