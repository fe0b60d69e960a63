"""Short runs against their record: whoever changes what is computed has to notice, and to say so."""

import json

import pytest

from tests.golden_run import RECORD, RUNS, play


def assert_close(found, expected, path=""):
    """Floats to a thousandth: another processor or another torch changes the last digits, an algorithm more.

    Noise of a millionth on every weight after every gradient step stays within it, in every action too.
    """
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), path
        for name in expected:
            assert_close(found[name], expected[name], f"{path}/{name}")
    else:
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6), path


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_fixed_steps_gives_what_was_recorded(name):
    expected = json.loads(RECORD.read_text())[name]
    found = play(name)
    # Games and counts first: what they say of a difference is easier to read.
    assert found["exact"] == expected["exact"]
    assert_close(found["close"], expected["close"])
