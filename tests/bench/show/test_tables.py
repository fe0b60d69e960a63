"""The tables hold what was measured, and no column without a value."""

import pytest

from rl_speed.bench.model import rows
from rl_speed.bench.show import tables
from tests.bench.measurements import confirmation, described, measurement, solve_run, whole_content


def make(*measurements):
    names = dict.fromkeys((m["name"], m["group"]) for m in measurements)
    entered = [described(name, group=group)[0] for name, group in names]
    return {"rows": rows.make_rows(entered, measurements), "solve": [], "expectations": []}


def column(table, header):
    return [line[table.header.index(header)] for line in table.lines]


def test_samples_come_first_and_env_steps_beside_them():
    measured = [measurement("baseline", 0, 40), measurement("fast", 0, 2000, batch_size=240, per_update=48)]
    table = tables.speed_tables(make(*measured))[0]
    assert table.header[:5] == [
        "name", "samples/s (min .. max)", "x baseline, samples", "env steps/s (min .. max)", "x baseline, env steps",
    ]  # fmt: skip
    assert table.lines[1][:5] == ["fast", "10,000", "7.81", "2,000", "50.00"]
    assert "GPU %" not in table.header  # nothing was measured there


def test_a_spread_stands_beside_its_median():
    table = tables.speed_tables(make(*(measurement("baseline", r, v) for r, v in enumerate((40, 30, 50)))))[0]
    assert table.lines[0][1] == "1,280 (960 .. 1,600)"
    assert table.lines[0][3] == "40.0 (30.0 .. 50.0)"


def test_a_row_that_failed_is_there_and_says_why():
    failed = {"name": "bad", "group": "ladder", "repeat": 0, "error": "broke (log: x)"}
    content = make(measurement("baseline", 0, 40), failed)
    table = tables.speed_tables(content)[0]
    assert table.lines[1][:3] == ["bad", "failed", "-"]
    assert len(table.lines[1]) == len(table.header)
    assert table.notes == ["`bad` failed: broke (log: x)"]
    assert [line[0] for line in tables.time_tables(content)[0].lines] == ["baseline"]
    alone = tables.speed_tables(make(failed))[0]
    assert alone.lines == [["bad", "failed"]]


def test_where_the_time_goes():
    shares = {"update": 0.6, "act": 0.3, "env": 0.09, "other": 0.01}
    assert tables.shares_text(shares) == "update 60 %, act 30 %, env 9 %"
    assert tables.shares_text({}) == "-"


def test_a_run_that_its_confirmation_does_not_bear_out_is_not_solved():
    failed = solve_run(2, False) | {"failed_confirmations": [confirmation(18.0), confirmation(19.0)]}
    runs = [solve_run(0, True), solve_run(1, True) | {"confirmation": confirmation(18.97)}, failed]
    broken = {"name": "fast_cpu", "seed": 3, "error": "broke"}
    table = tables.solve_tables({"solve": [*runs, broken]})[0]
    assert column(table, "solved after") == ["5:00", "not solved", "not solved", "failed"]
    assert column(table, "confirmation") == ["20.00 +- 1.00", "18.97 +- 1.00", "18.00 +- 1.00; 19.00 +- 1.00", "-"]
    assert [note.partition(":")[0] for note in table.notes] == [
        f"`fast_cpu`, seed {seed}, does not count" for seed in (1, 2, 3)
    ]
    assert tables.solve_tables({"solve": []}) == []


def test_a_run_without_a_game_or_a_goal_has_a_line():
    run = solve_run(0, False) | {"avg_reward": None, "stop_reward": None}
    table = tables.solve_tables({"solve": [run]})[0]
    assert table.lines[0] == ["fast_cpu", "0", "not solved", *["-"] * 5]


def test_expected_factors_are_in_samples():
    content = make(measurement("baseline", 0, 40), measurement("fast", 0, 2000, batch_size=240, per_update=48))
    content["expectations"] = [
        {"name": "fast", "expected": 60.0, "measured": 50.0, "error_percent": 20.0, "limited_by": "cores"}
    ]
    ((_, expected, measured),) = tables.expectation_factors(content)
    assert (measured, expected) == (pytest.approx(7.8125), pytest.approx(7.8125 * 1.2))
    assert tables.expectation_tables(content)[0].lines == [["fast", "9.38", "7.81", "+20 %", "cores"]]


def test_every_line_has_all_columns(quick):
    content = whole_content(quick)
    every = [
        *tables.speed_tables(content), *tables.speed_tables(content, tables.SHORT_SPEEDS), *tables.time_tables(content),
        *tables.solve_tables(content), *tables.expectation_tables(content),
    ]  # fmt: skip
    assert len(every) > 15
    for table in every:
        assert all(len(line) == len(table.header) for line in table.lines), table.title
