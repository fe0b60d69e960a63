"""The numbers of a row: medians, units and ratios."""

import pytest

from rl_speed.bench.model import rows
from tests.bench.measurements import described, noted


def test_a_rows_numbers():
    found = rows.make_rows(
        described("baseline", "fast"),
        [
            noted("baseline", 0, 40), noted("fast", 0, 800, batch_size=128, per_update=20),
            noted("baseline", 1, 20), noted("fast", 1, 400, batch_size=128, per_update=20),
            noted("baseline", 2, 30), noted("fast", 2, 660, batch_size=128, per_update=20),
        ],
    )  # fmt: skip
    fast = found[1]
    assert fast["env_steps_per_second"] == {"median": 660, "min": 400, "max": 800}
    assert fast["frames_per_second"] == 4 * 660
    assert fast["gradient_steps_per_second"] == 33
    assert fast["samples_per_second"] == 33 * 128
    # Within a repeat: 20, 20 and 22; the ratio of the medians would be 22.
    assert fast["ratio_to_baseline"] == 20
    assert found[0]["ratio_to_baseline"] == 1
    assert rows.stage_milliseconds(found[0])["update"] == pytest.approx(0.8 * 1000 / 30)


def test_a_failed_contestant_keeps_its_row():
    failed = {"name": "bad", "group": "ladder", "repeat": 0, "error": "broke"}
    found = rows.make_rows(described("baseline", "bad"), [noted("baseline", 0, 40), failed])
    assert found[1]["env_steps_per_second"] is None
    assert found[1]["error"] == "broke"
    assert rows.find(found, "bad") is None


def test_games_alone_have_no_ratio_and_no_samples():
    measurements = [noted("baseline", 0, 40), noted("x", 0, 4000, group="env_only", batch_size=None)]
    found = rows.make_rows(described("baseline") + described("x", group="env_only"), measurements)
    assert found[1]["ratio_to_baseline"] is None
    assert found[1]["samples_per_second"] is None
