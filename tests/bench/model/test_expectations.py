"""Expectations by hand."""

import pytest

from rl_speed.bench.model import expectations
from rl_speed.config import load_config
from tests.bench.measurements import CALIBRATION, measured_rows

COST = {"act": 1.0, "env": 1.0, "wait": 0.0, "replay": 1.0, "transfer": 1.0, "update": 16.0, "other": 3.0}


def expected(preset, cores=2, *overrides):
    base = load_config("baseline")
    return expectations.expected_seconds(COST, base, load_config(preset, list(overrides)), CALIBRATION, cores)


def test_expectations_by_hand():
    assert expected("baseline")["total"] == pytest.approx(23)
    # Three envs share one call of the network and one batch of Lightning's.
    assert expected("n_envs")["total"] == pytest.approx(1 / 3 + 1 + 1 + 1 + 16 + 1)
    # Apart, the learner keeps both cores, and acting and games hide behind it.
    seconds = expected("parallel")
    assert seconds["learner"] == pytest.approx(16 + 1 + 1 + 3)
    assert seconds["player"] == pytest.approx(2)
    # On one core nothing hides: all the work adds up.
    assert expected("parallel", 1)["total"] == pytest.approx(23)
    # Games in C++ take half the time here and run beside the learner, but on one of its two cores.
    assert expected("baseline", 2, "envs.backend=ale_vector")["total"] == pytest.approx(1 + 32 + 1 + 1 + 3)


def test_a_cheaper_network_costs_by_its_multiply_adds():
    half = expected("baseline", 2, "update.batch_size=16")
    assert half["total"] == pytest.approx(1 + 1 + 0.5 + 0.5 + 8 + 3)
    assert expected("baseline", 2, "update.precision=bf16")["total"] == pytest.approx(7 + 8)


def test_every_rung_but_baseline_is_expected():
    rows, configs = measured_rows()
    made = expectations.expect(rows, configs, CALIBRATION, 2)
    assert {e["name"] for e in made} == {"n_envs", "parallel", "slow_grads"}
    for e in made:
        assert e["error_percent"] == pytest.approx(100 * (e["expected"] / e["measured"] - 1))
    assert next(e["limited_by"] for e in made if e["name"] == "n_envs") == "learner"
    assert expectations.expect(rows[1:], configs, CALIBRATION, 2) == []


def test_nothing_is_expected_from_a_baseline_that_plays_apart():
    ladder, configs = measured_rows()
    assert expectations.expect(ladder, configs, CALIBRATION, 2)
    configs["baseline"]["actors"]["kind"] = "subprocess"
    assert expectations.expect(ladder, configs, CALIBRATION, 2) == []
