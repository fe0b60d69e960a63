"""Wall times as people write them."""

from __future__ import annotations

import re

from rl_speed.system.errors import ConfigError


def seconds_of(option: str, text: str) -> float:
    """Seconds of HH:MM:SS.

    Args:
        option: that the text was given for.
        text: what was given.

    Raises:
        ConfigError: it is not of that form, or zero.
    """
    match = re.fullmatch(r"(\d{1,4}):([0-5]?\d):([0-5]?\d)", text.strip())
    seconds = 0 if match is None else sum(int(x) * y for x, y in zip(match.groups(), (3600, 60, 1), strict=True))
    if seconds == 0:
        raise ConfigError(f"{option} {text!r} must be HH:MM:SS and more than zero, e.g. 00:10:00")
    return float(seconds)
