"""The numbers of a row: medians, units and ratios."""

import pytest

from rl_speed.bench.model import rows
from tests.bench.measurements import described, measurement


def test_a_rows_numbers():
    made = rows.make_rows(
        described("baseline", "fast"),
        [
            measurement("baseline", 0, 40), measurement("fast", 0, 800, batch_size=128, per_update=20),
            measurement("baseline", 1, 20), measurement("fast", 1, 400, batch_size=128, per_update=20),
            measurement("baseline", 2, 30), measurement("fast", 2, 660, batch_size=128, per_update=20),
        ],
    )  # fmt: skip
    fast = made[1]
    assert fast["env_steps_per_second"] == {"median": 660, "min": 400, "max": 800}
    assert fast["frames_per_second"] == 4 * 660
    assert fast["gradient_steps_per_second"] == 33
    assert fast["samples_per_second"] == 33 * 128
    # Within a repeat: 20, 20 and 22; the ratio of the medians would be 22.
    assert fast["ratio_to_baseline"] == 20
    # In samples: 32 a second and env step of `baseline`, 128 / 20 of the other.
    assert fast["samples_spread"] == {"median": 33 * 128, "min": 20 * 128, "max": 40 * 128}
    assert fast["samples_ratio_to_baseline"] == pytest.approx(4.0)
    assert fast["samples_ratio_spread"]["max"] == pytest.approx(4.4)
    assert made[0]["ratio_to_baseline"] == made[0]["samples_ratio_to_baseline"] == 1
    assert rows.stage_milliseconds(made[0])["update"] == pytest.approx(0.8 * 1000 / 30)


def test_a_failed_contestant_keeps_its_row():
    failed = {"name": "bad", "group": "ladder", "repeat": 0, "error": "broke"}
    made = rows.make_rows(described("baseline", "bad"), [measurement("baseline", 0, 40), failed])
    assert made[1]["env_steps_per_second"] is None
    assert made[1]["error"] == "broke"
    assert rows.find(made, "bad") is None


def test_games_alone_have_no_ratio_and_no_samples():
    measurements = [measurement("baseline", 0, 40), measurement("x", 0, 4000, group="env_only", batch_size=None)]
    made = rows.make_rows(described("baseline") + described("x", group="env_only"), measurements)
    assert made[1]["ratio_to_baseline"] is None
    assert made[1]["samples_per_second"] is None


def test_a_row_made_earlier_does_for_a_contestant():
    measurements = [measurement("baseline", 0, 40), measurement("fast", 0, 800)]
    made = rows.make_rows(described("baseline", "fast"), measurements)
    older = [{name: value for name, value in row.items() if not name.startswith("samples_")} for row in made]
    assert rows.make_rows(older, measurements) == made


def test_a_factor_in_env_steps_is_said_where_it_is_another_one():
    assert rows.factor_text(8.0, 48.0) == "x 8.00 samples/s (x 48.00 env steps/s)"
    assert rows.factor_text(0.96, 0.95) == "x 0.96 samples/s"
    assert rows.factor_text(None, 4.2) == "x 4.20 env steps/s"
