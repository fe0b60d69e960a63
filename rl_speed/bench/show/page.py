"""One self-contained page of a bench, verdict first: no network, plotly's library inside."""

from __future__ import annotations

from typing import Any

from rl_speed.bench.show.figures import figures
from rl_speed.bench.show.tables import (
    expectation_tables,
    setting_line,
    solve_tables,
    speed_tables,
    time_tables,
)
from rl_speed.report.page import document, inline, list_html, plots_html, table_html


def page(content: dict[str, Any]) -> str:
    """The page as HTML."""
    parts = ["<h1>Which speed-up pays here</h1>", f'<p class="note">{inline(setting_line(content))}</p>']
    if not content["is_whole"]:
        parts.append("<p>Not whole: the bench was stopped before its end.</p>")
    parts.append(list_html(content["verdict"], "verdict"))
    parts += [table_html(table) for table in (*speed_tables(content), *solve_tables(content))]
    drawn = plots_html(figures(content))
    parts += ["<h2>Plots</h2>", *drawn] if drawn else []
    if content["details"]:
        parts.append("<h2>Details</h2>" + list_html(content["details"], "details"))
    parts += [table_html(table) for table in (*time_tables(content), *expectation_tables(content))]
    if content["problems"]:
        parts.append("<h2>Problems</h2>" + "".join(f"<p>{inline(text)}</p>" for text in content["problems"]))
    return document("rl_speed bench", parts)
