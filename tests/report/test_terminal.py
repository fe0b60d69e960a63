"""Tables and sentences in the terminal."""

import io

from rich.console import Console

from rl_speed.report.tables import TextTable
from rl_speed.report.terminal import print_tables, styled


def test_names_in_backticks_are_bold():
    text = styled("`baseline` is x 1.0 of `other`")
    assert text.plain == "baseline is x 1.0 of other"
    assert [text.plain[span.start : span.end] for span in text.spans if span.style] == ["baseline", "other"]
    assert styled("a ` alone").plain == "a ` alone"


def test_a_table_is_printed_with_its_notes():
    stream = io.StringIO()
    table = TextTable("Scores", ["name", "mean"], [["[red]pong", "1.5"]], ["of `two` runs"])
    print_tables(Console(file=stream, width=60, color_system=None), [table])
    text = stream.getvalue()
    assert "[red]pong" in text
    assert "of two runs" in text
