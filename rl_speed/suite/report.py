"""The files that a suite's report consists of, and what of it stands in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from rl_speed.report.page import document, list_html, plots_html, table_html
from rl_speed.report.terminal import lines_table, print_tables
from rl_speed.suite.figures import figures
from rl_speed.suite.plan import plan_of, read_facts
from rl_speed.suite.scores import Scores, read_games, read_scores
from rl_speed.suite.summary import Summary, summarise
from rl_speed.suite.tables import aggregates_csv, protocol_lines, scores_csv, tables
from rl_speed.system.durable import write_text_whole
from rl_speed.system.errors import UserError

PAGE_FILE, SCORES_FILE, AGGREGATES_FILE = "report.html", "scores.csv", "aggregates.csv"


def page(out: Path, facts: dict[str, Any], scores: Scores, summary: Summary) -> str:
    """The page as HTML."""
    games = read_games(out, list(scores.finished))
    drawn = plots_html(figures(scores, summary, games))
    every = tables(scores, summary)
    return document(
        "rl_speed suite",
        [
            "<h1>Scores with error bars</h1>",
            list_html(protocol_lines(facts, scores), "details"),
            *map(table_html, every),
            *(["<h2>Plots</h2>", *drawn] if drawn else []),
        ],
    )


def write_report(out: Path, console: Console) -> tuple[Path, bool]:
    """Writes page and CSV files of what there is, and prints the tables.

    Returns:
        path of the page, and whether all runs are finished.

    Raises:
        UserError: there is no suite in the folder, or it cannot be written.
    """
    facts = read_facts(out)
    scores = read_scores(out, plan_of(facts, out))
    summary = summarise(scores)
    console.print(lines_table(protocol_lines(facts, scores), "Suite"))
    print_tables(console, tables(scores, summary), right=False)
    try:
        write_text_whole(out / SCORES_FILE, scores_csv(scores))
        write_text_whole(out / AGGREGATES_FILE, aggregates_csv(scores, summary))
        write_text_whole(out / PAGE_FILE, page(out, facts, scores, summary))
    except OSError as error:
        raise UserError(f"--out {out} cannot be written ({error}); make room, then give --report-only") from None
    return out / PAGE_FILE, not (scores.failed or scores.missing)
