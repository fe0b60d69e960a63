"""The parts of a self-contained page: no network, plotly's library inside."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

import plotly.io

from rl_speed.report.tables import TextTable

# Cells wrap between their words, so that a table is never wider than the page.
STYLE = """
:root { --line: #dde1e6; --grey: #5b6470; --accent: #d55e00; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #1c2430; }
h1 { font-size: 1.7em; margin: 0 0 .2em; }
h2 { font-size: 1.2em; margin: 2em 0 .4em; }
code { font: .92em ui-monospace, monospace; background: #f0f2f5; border-radius: 3px; padding: 0 .25em; }
dl { margin: 0; }
dl.verdict { border-left: 5px solid var(--accent); padding: .3em 0 .3em 1.2em; margin: 1.2em 0 2em; font-size: 1.15em; }
dl.verdict > div, dl.details > div { display: grid; grid-template-columns: 8.5em 1fr; gap: 0 1em; padding: .25em 0; }
dl.details > div { border-top: 1px solid var(--line); font-size: 15px; padding: .5em 0; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: 13px; line-height: 1.35; width: 100%; margin: .5em 0;
  font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 5px 8px; text-align: right; vertical-align: top; }
th { color: var(--grey); font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child, table.words th, table.words td { text-align: left; }
td:first-child { font-weight: 600; }
table.words td { overflow-wrap: break-word; }
.plotly-graph-div { overflow: hidden; }
.whole { white-space: nowrap; }
@media (max-width: 900px) { th, td { padding: 4px 5px; } body { padding: 0 10px; } }
p.note { color: var(--grey); font-size: 14px; margin: .2em 0; overflow-wrap: anywhere; }
"""

MOST_UNBROKEN = 17  # characters of a cell: the longest name of a preset


def inline(text: str) -> str:
    """A sentence as HTML: what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def _entry(text: str) -> str:
    return f'<td class="whole">{html.escape(text)}</td>' if len(text) <= MOST_UNBROKEN else f"<td>{_cell(text)}</td>"


def _cell(text: str) -> str:
    """A cell that breaks before a spread and not inside it."""
    value, bracket, rest = text.partition(" (")
    if bracket and " .. " in rest:
        return f'{html.escape(value)} <span class="whole">({html.escape(rest)}</span>'
    return html.escape(text)


def table_html(table: TextTable) -> str:
    """A table with its title and notes."""
    head = "".join(f"<th>{_cell(text)}</th>" for text in table.header)
    body = "".join(f"<tr>{''.join(map(_entry, line))}</tr>" for line in table.lines)
    notes = "".join(f'<p class="note">{inline(note)}</p>' for note in table.notes)
    return (
        f'<h2>{html.escape(table.title)}</h2><table class="{table.kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{notes}"
    )


def list_html(lines: Sequence[dict[str, str]], kind: str) -> str:
    """Labels with their texts; `kind` is verdict or details."""
    items = "".join(f"<div><dt>{html.escape(x['label'])}</dt><dd>{inline(x['text'])}</dd></div>" for x in lines)
    return f'<dl class="{kind}">{items}</dl>' if lines else ""


def plots_html(figures: Sequence[Any]) -> list[str]:
    """Plotly's figures as HTML, responsive; the first brings the library along."""
    parts = []
    for place, figure in enumerate(figures):
        figure.update_layout(
            template="plotly_white", margin={"l": 10, "r": 10}, font={"family": "system-ui, sans-serif"}
        )
        figure.update_yaxes(automargin=True)
        parts.append(
            plotly.io.to_html(
                figure, include_plotlyjs=place == 0, full_html=False, div_id=f"plot{place}",
                config={"displaylogo": False, "responsive": True},
            )
        )  # fmt: skip
    return parts


def document(title: str, parts: Sequence[str]) -> str:
    """The whole page."""
    return (
        f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
