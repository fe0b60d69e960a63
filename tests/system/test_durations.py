"""Wall times as people write them."""

import pytest

from rl_speed.system.durations import seconds_of
from rl_speed.system.errors import ConfigError


@pytest.mark.parametrize(("text", "seconds"), [("00:00:01", 1), ("1:02:03", 3723), (" 100:00:00 ", 360_000)])
def test_hours_minutes_and_seconds(text, seconds):
    assert seconds_of("--max-time", text) == seconds


@pytest.mark.parametrize("text", ["", "10", "0:0:0", "1:60:00", "-1:00:00", "1:00"])
def test_anything_else_is_one_sentence(text):
    with pytest.raises(ConfigError, match=r"--max-time .* must be HH:MM:SS"):
        seconds_of("--max-time", text)
