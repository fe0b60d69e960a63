"""What stands in the terminal: verdict first, within 80 columns, nothing cut off, no Markdown."""

import io

from rich.console import Console

from rl_speed.bench.show.terminal import print_report
from tests.bench.measurements import whole_content


def printed(content, width=80):
    stream = io.StringIO()
    print_report(content, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def test_the_verdict_comes_first_and_nothing_is_cut_off(quick):
    content = whole_content(quick)
    text = printed(content)
    assert text.startswith("Verdict")
    places = [text.index(label) for label in ("What limits", "Helps most", "The ladder", "Time to solve", "Details")]
    assert places == sorted(places)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    for row in content["rows"]:
        assert row["name"].split(":")[0] in text


def test_names_in_backticks_are_bold_instead(quick):
    assert "`" not in printed(whole_content(quick))


def test_brackets_of_a_name_are_no_markup(quick):
    quick.session.problem("x")
    content = whole_content(quick)
    content["rows"][0]["name"] = "[red]mine"
    assert "[red]mine" in printed(content, 200)
