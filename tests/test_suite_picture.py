"""benchmarks/suite_curves.py: the training returns of suites in one picture."""

import runpy
from pathlib import Path

import pytest

from tests.suite.made_up import made_up_suite, plan_for

PROGRAM = str(Path(__file__).parents[1] / "benchmarks" / "suite_curves.py")


@pytest.fixture
def main():
    return runpy.run_path(PROGRAM)["main"]


def test_each_game_has_its_panel(main, tmp_path):
    pytest.importorskip("matplotlib")
    one = made_up_suite(tmp_path / "one", plan_for("pong,breakout", 2, ("smoke",)))
    other = made_up_suite(tmp_path / "other", plan_for("adventure", 1, ("baseline",)))  # no score to compare with
    main([str(one), str(other), "--out", str(tmp_path / "curves.svg")])
    text = (tmp_path / "curves.svg").read_text()
    for name in ("pong", "breakout", "adventure", "smoke", "baseline", "human"):
        assert f"<!-- {name} -->" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere", "--out", "curves.svg"], "holds no suite"),
        (["empty", "--out", "curves.svg"], "holds no run that has finished a game"),
        (["one", "one", "--out", "curves.svg"], "is in two of these suites"),
        (["one", "--out", "missing/curves.svg"], "--out missing/curves.svg cannot be written"),
    ],
)
def test_bad_arguments_end_with_a_sentence(main, tmp_path, monkeypatch, capsys, words, sentence):
    if "missing/curves.svg" in words:
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    plan = plan_for("pong", 1, ("smoke",))
    made_up_suite(tmp_path / "one", plan)
    made_up_suite(tmp_path / "empty", plan, leave_out=plan.runs())
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
