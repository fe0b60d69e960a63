"""The tables and CSV files hold what was measured."""

import csv
import io

import pytest

from rl_speed.suite.estimates import Estimate
from rl_speed.suite.folder import RunKey
from rl_speed.suite.plan import read_facts
from rl_speed.suite.reference import human_normalised
from rl_speed.suite.scores import read_scores
from rl_speed.suite.summary import summarise
from rl_speed.suite.tables import aggregates_csv, estimate_text, protocol_lines, scores_csv, tables
from tests.suite.made_up import made_up_suite, plan_for, write_failure

FAILED, LOST = RunKey(1, "pong", "smoke"), RunKey(2, "breakout", "baseline")


def made(tmp_path):
    plan = plan_for("pong,breakout", 3)
    out = made_up_suite(tmp_path / "s", plan, leave_out=[FAILED, LOST])
    write_failure(out, FAILED, "it broke")
    scores = read_scores(out, plan)
    return out, scores, summarise(scores)


def test_a_number_stands_with_its_interval():
    assert estimate_text(None) == "-"
    assert estimate_text(Estimate(1.234)) == "1.23"
    assert estimate_text(Estimate(1.0, 0.5, 2.0)) == "1.00 (0.50 .. 2.00)"


def test_every_run_that_has_no_score_is_listed(tmp_path):
    _, scores, summary = made(tmp_path)
    trouble = tables(scores, summary)[-1]
    assert trouble.lines == [
        ["smoke, pong, seed 1", "failed", "it broke"],
        ["baseline, breakout, seed 2", "missing", "not finished yet"],
    ]


def test_the_protocol_says_how_far_and_with_what(tmp_path):
    out, scores, _ = made(tmp_path)
    text = {line["label"]: line["text"] for line in protocol_lines(read_facts(out), scores)}
    assert text["Runs"].startswith("10 finished, 1 failed, 1 missing, of 2 games x 3 seeds x 2 presets")
    assert "100,000 env steps" in text["Training"]
    assert "epsilon 0.001, sticky actions 0 as trained" in text["Evaluation"]
    assert text["Machine"] == "a processor, 8 GB, no GPU"
    assert "commit 0000000" in text["Versions"]


def test_other_sticky_actions_than_in_training_are_told(tmp_path):
    out, scores, _ = made(tmp_path)
    for run in scores.finished.values():
        run["evaluation"]["sticky_probability"] = 0.25
    text = {line["label"]: line["text"] for line in protocol_lines(read_facts(out), scores)}
    assert "sticky actions 0.25 (trained with 0)" in text["Evaluation"]


def test_each_run_of_the_plan_is_a_row_of_the_csv(tmp_path):
    _, scores, summary = made(tmp_path)
    rows = list(csv.DictReader(io.StringIO(scores_csv(scores))))
    assert len(rows) == 12
    by_run = {(row["preset"], row["game"], row["seed"]): row for row in rows}
    assert by_run["smoke", "pong", "1"]["status"] == "failed"
    assert by_run["smoke", "pong", "1"]["failure"] == "it broke"
    assert by_run["baseline", "breakout", "2"]["status"] == "missing"
    assert float(by_run["smoke", "breakout", "2"]["mean_return"]) == 12.0
    numbers = list(csv.DictReader(io.StringIO(aggregates_csv(scores, summary))))
    measures = {(row["preset"], row["measure"], row["game_or_other_preset"]) for row in numbers}
    assert ("smoke", "human_normalised IQM", "") in measures
    assert ("baseline", "probability of improvement", "smoke") in measures
    assert ("smoke", "mean_return", "pong") in measures
    of_game = {
        row["measure"]: row for row in numbers if (row["preset"], row["game_or_other_preset"]) == ("smoke", "pong")
    }
    assert float(of_game["human_normalised"]["value"]) == pytest.approx(
        human_normalised("pong", float(of_game["mean_return"]["value"]))
    )
