"""The report's files hold every row, wherever they can be written."""

import importlib.util
import json
import tempfile
from pathlib import Path

import pytest

from rl_speed.bench import contestants
from rl_speed.bench.show import report
from rl_speed.system.errors import UserError
from tests.bench.measurements import confirmation, solve_run, whole_content


def test_a_folder_that_becomes_unwritable_costs_nothing(quick, monkeypatch, tmp_path):
    quick.session.interleave([contestants.rung("baseline")])
    taken = tmp_path / "taken"
    taken.write_text("")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
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
    assert "seed 1, does not count: it reached a mean of 3.00" in markdown


def test_the_verdict_comes_before_every_table(quick):
    text = report.markdown(whole_content(quick))
    assert text.index("## Verdict") < text.index("- **Helps most**: `smoke`: x 10.00 samples/s") < text.index("\n|")
    assert text.index("## Time to solve") < text.index("## Details")


RECORDS = sorted((Path(__file__).parents[3] / "benchmarks" / "results").glob("2026-11-23*ladder*"))


@pytest.mark.parametrize("folder", RECORDS, ids=lambda folder: folder.name)
def test_records_of_older_benches_are_read(folder, tmp_path):
    """They know neither a verdict nor a factor in samples."""
    content = json.loads((folder / "bench.json").read_text())
    for row in content["rows"]:
        for name in ("samples_spread", "samples_ratio_to_baseline", "samples_ratio_spread"):
            row.pop(name, None)
    for name in ("verdict", "details", "diagnosis"):
        content.pop(name, None)
    (tmp_path / "bench.json").write_text(json.dumps({**content, "answers": {"peers": "x"}}))
    read = report.read_report(tmp_path)
    labels = [line["label"] for line in read["verdict"]]
    assert labels[:2] == ["What limits", "Helps most"]
    assert "`fast_cpu`: x 8." in read["verdict"][1]["text"]
    assert "fast_cpu" in report.markdown(read)


def test_an_older_record_that_its_confirmation_does_not_bear_out_is_not_solved(quick, tmp_path):
    quick.session.solve_runs = [solve_run(0, True) | {"confirmation": confirmation(18.97)}]
    content = quick.session.content()
    for run in content["solve"]:
        del run["failed_confirmations"]
    read = report.read_report(report.write_report(tmp_path, content))
    assert "its confirmation, 18.97, is below the goal of 19.5" in report.markdown(read)
    assert "with 0 of 1 seeds" in read["diagnosis"]


@pytest.mark.parametrize("content", [{"rows": []}, {"rows": [], "measurements": 3}, [], {"rows": 1}])
def test_what_is_no_result_is_one_sentence(content, tmp_path):
    (tmp_path / "bench.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="give the folder of a bench"):
        report.read_report(tmp_path)
