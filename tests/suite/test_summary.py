"""What is said of scores, and what is not."""

import pytest

from rl_speed.suite.folder import RunKey
from rl_speed.suite.reference import human_normalised
from rl_speed.suite.scores import read_scores
from rl_speed.suite.summary import summarise
from tests.suite.made_up import made_up_suite, plan_for, write_failure


def summary_of(tmp_path, plan, **options):
    return summarise(read_scores(made_up_suite(tmp_path / "s", plan, **options), plan))


def test_two_presets_are_compared(tmp_path):
    plan = plan_for("pong,breakout", 5)
    summary = summary_of(tmp_path, plan, mean=lambda key: key.seed + (5.0 if key.preset == "smoke" else 0.0))
    assert list(summary.aggregates) == ["baseline", "smoke"]
    assert summary.notes == []
    (two,) = summary.improvements
    assert (two.first, two.second, two.estimate.value) == ("baseline", "smoke", 0.0)
    row = next(row for row in summary.games if (row.preset, row.game) == ("smoke", "pong"))
    assert (row.seeds, row.raw.value) == (5, 7.0)
    assert row.normalised.value == pytest.approx(human_normalised("pong", 7.0))
    assert row.normalised.low == pytest.approx(human_normalised("pong", row.raw.low))


@pytest.mark.parametrize(
    ("games", "seeds", "lost", "part"),
    [
        ("pong,breakout", 1, [], "one whole seed"),
        ("pong,breakout", 2, [], "2 whole seeds; bootstrap intervals of so few are rough"),
        ("pong,breakout", 4, [], "4 whole seeds; bootstrap intervals of so few are rough"),
        ("pong", 3, [], "One game with a reference, pong"),
        ("pong,breakout,adventure", 3, [], "no published reference for adventure"),
        ("pong,breakout", 4, [RunKey(3, "pong", "smoke")], "seed(s) 3; the aggregates are without"),
        ("pong,breakout", 1, [RunKey(0, "pong", "smoke")], "there is no aggregate yet"),
    ],
)
def test_what_cannot_be_said_is_said(tmp_path, games, seeds, lost, part):
    summary = summary_of(tmp_path, plan_for(games, seeds, ("smoke",)), leave_out=lost)
    assert any(part in note for note in summary.notes), summary.notes


def test_games_without_a_reference_have_raw_scores_only(tmp_path):
    summary = summary_of(tmp_path, plan_for("adventure", 3, ("smoke",)))
    assert summary.aggregates == {}
    assert summary.games[0].raw.value == 11.0
    assert summary.games[0].normalised is None
    assert len(summary.notes) == 1


@pytest.mark.parametrize("game", ["pong", "adventure"])
def test_a_preset_whose_runs_fail_is_said_to_be_shown_too_well(tmp_path, game):
    plan = plan_for(f"breakout,{game}", 6, ("smoke",))
    failed, waits = RunKey(1, game, "smoke"), RunKey(5, "breakout", "smoke")
    out = made_up_suite(tmp_path / "s", plan, leave_out=[failed, waits])
    write_failure(out, failed, "the run has diverged")
    notes = summarise(read_scores(out, plan)).notes
    (flatters,) = [note for note in notes if "too well" in note]
    assert "1 run(s) failed, with seed(s) 1." in flatters
    assert ("aggregates without their whole seeds" in flatters) == (game == "pong")  # adventure is in none
    assert any("not all games are finished yet with seed(s) 5; the aggregates are without" in note for note in notes)
