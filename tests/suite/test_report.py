"""The report of a suite that is finished, half finished, or has failed."""

import io
import re

import pytest
from rich.console import Console

from rl_speed.suite.folder import RunKey
from rl_speed.suite.report import write_report
from rl_speed.system.errors import UserError
from tests.suite.made_up import made_up_suite, plan_for, write_failure

FAILED = RunKey(1, "pong", "smoke")


def written(out, width=80):
    stream = io.StringIO()
    page, _ = write_report(out, Console(file=stream, width=width, color_system=None))
    return stream.getvalue(), page.read_text()


def test_a_partly_failed_suite_is_reported_whole(tmp_path):
    plan = plan_for("pong,breakout,adventure", 3)
    out = made_up_suite(tmp_path / "s", plan, leave_out=[FAILED])
    write_failure(out, FAILED, "it <broke>")
    text, page = written(out)
    words = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    for part in ("17 finished, 1 failed, 0 missing", "Probability of improvement", "smoke, pong, seed 1", "adventure"):
        assert part in text
        assert part in words
    assert "it &lt;broke&gt;" in words
    assert "1 run(s) failed, with seed(s) 1" in words
    assert max(len(line) for line in text.splitlines()) <= 80
    assert re.findall(r'<[a-z]+\b[^<>]*\ssrc="http[^"]*', page) == []
    assert page.count('class="plotly-graph-div"') == 4
    assert (out / "scores.csv").exists()
    assert (out / "aggregates.csv").exists()


def test_a_suite_without_a_finished_run_has_a_report_too(tmp_path):
    plan = plan_for("pong", 1, ("smoke",))
    out = made_up_suite(tmp_path / "s", plan, leave_out=plan.runs())
    text, page = written(out)
    assert "0 finished, 0 failed, 1 missing" in text
    assert "<script" not in page


def test_a_folder_without_a_suite_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="holds no suite"):
        write_report(tmp_path, Console(quiet=True))
