"""The parts of a page."""

import re

import plotly.graph_objects as go

from rl_speed.report.page import document, inline, list_html, plots_html, table_html
from rl_speed.report.tables import TextTable


def test_what_a_sentence_says_is_no_markup():
    assert inline("`a<b` & c") == "<code>a&lt;b</code> &amp; c"


def test_a_page_brings_everything_along():
    table = TextTable("A & B", ["name", "value"], [["<x>", "1"]], ["see `y`"])
    figures = plots_html([go.Figure(go.Scatter(y=[1, 2])), go.Figure(go.Scatter(y=[2, 1]))])
    text = document("a < b", [table_html(table), list_html([{"label": "L", "text": "t"}], "verdict"), *figures])
    assert "<title>a &lt; b</title>" in text
    assert "A &amp; B" in text
    assert "&lt;x&gt;" in text
    assert "see <code>y</code>" in text
    assert re.findall(r'<[a-z]+\b[^<>]*\ssrc="http[^"]*', text) == []
    assert len(figures[0]) > 1_000_000 > 100_000 > len(figures[1])  # the library comes once
