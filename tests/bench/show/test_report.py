"""The report's files hold every row, wherever they can be written."""

import importlib.util
import json

from rl_speed.bench import contestants
from rl_speed.bench.show import report
from tests.bench.measurements import whole_content


def test_a_folder_that_becomes_unwritable_costs_nothing(quick, monkeypatch, tmp_path):
    quick.session.interleave([contestants.rung("baseline")])
    taken = tmp_path / "taken"
    taken.write_text("")
    target = report.write_report(taken, quick.session.content())
    assert target != taken
    assert (target / "bench.html").exists()


def test_reports_hold_every_row(quick, tmp_path):
    content = whole_content(quick)
    target = report.write_report(tmp_path, content)
    assert report.read_report(target)["rows"] == json.loads(json.dumps(content["rows"]))
    markdown, page_text = (target / "bench.md").read_text(), (target / "bench.html").read_text()
    for row in content["rows"]:
        assert row["name"] in markdown
        assert row["name"] in page_text
    lines = (target / "bench.csv").read_text().splitlines()
    assert len(lines) == 1 + len(content["rows"])
    assert "stable-baselines3" in markdown or importlib.util.find_spec("stable_baselines3") is None
    assert "did not solve" in markdown
