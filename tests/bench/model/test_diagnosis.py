"""Expectations by hand, and what is said of them."""

import pytest

from rl_speed.bench.model import diagnosis
from rl_speed.config import load_config
from tests.bench.measurements import CALIBRATION, measured_rows


def test_multiply_adds_of_the_papers_network():
    assert diagnosis.forward_macs(load_config("baseline")) == 3_276_800 + 2_654_208 + 1_806_336 + 3136 * 512


COST = {"act": 1.0, "env": 1.0, "wait": 0.0, "replay": 1.0, "transfer": 1.0, "update": 16.0, "other": 3.0}


def expected(preset, cores=2, *overrides):
    base = load_config("baseline")
    return diagnosis.expected_seconds(COST, base, load_config(preset, list(overrides)), CALIBRATION, cores)


def test_expectations_by_hand():
    assert expected("baseline")["total"] == pytest.approx(23)
    # Three envs share one call of the network and one batch of Lightning's.
    assert expected("n_envs")["total"] == pytest.approx(1 / 3 + 1 + 1 + 1 + 16 + 1)
    # Apart, the learner keeps both cores, and acting and games hide behind it.
    found = expected("parallel")
    assert found["learner"] == pytest.approx(16 + 1 + 1 + 3)
    assert found["player"] == pytest.approx(2)
    # On one core nothing hides: all the work adds up.
    assert expected("parallel", 1)["total"] == pytest.approx(23)
    # Games in C++ take half the time here and run beside the learner, but on one of its two cores.
    assert expected("baseline", 2, "envs.backend=ale_vector")["total"] == pytest.approx(1 + 32 + 1 + 1 + 3)


def test_a_cheaper_network_costs_by_its_multiply_adds():
    half = expected("baseline", 2, "update.batch_size=16")
    assert half["total"] == pytest.approx(1 + 1 + 0.5 + 0.5 + 8 + 3)
    assert expected("baseline", 2, "update.precision=bf16")["total"] == pytest.approx(7 + 8)


def test_the_diagnosis_names_limit_help_and_error():
    found, configs = measured_rows()
    expectations = diagnosis.expect(found, configs, CALIBRATION, 2)
    assert {e["name"] for e in expectations} == {"n_envs", "parallel", "slow_grads"}
    for e in expectations:
        assert e["error_percent"] == pytest.approx(100 * (e["expected"] / e["measured"] - 1))
    text = diagnosis.paragraph(found, expectations, 2)
    assert "gradient steps with 80 % of the time" in text
    assert "1.25 times as fast at most" in text
    assert "`parallel` is x 1.02 on 2" in text
    assert "off by" in text
    assert "add it" in diagnosis.paragraph(found[1:], [], 2)
