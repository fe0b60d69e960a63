"""Actions as points of a stick: how far it leans, where to, and how hard the button is pressed."""

from __future__ import annotations

from typing import Any

import numpy as np

from rl_speed.emulator.actions import ACTION_NAMES
from rl_speed.system.arrays import Int32Array, Int64Array

PADDLE_STEP = 23_000  # ohms, by which a frame of LEFT or RIGHT turns a paddle
_DIRECTIONS = ("UP", "DOWN", "RIGHT", "LEFT", "FIRE")


def _numbers() -> Int64Array:
    """int64 [32]: ale-py's number of what is done, a bit for each of _DIRECTIONS; NOOP where they contradict."""
    numbers = np.zeros(2 ** len(_DIRECTIONS), dtype=np.int64)
    for number, name in enumerate(ACTION_NAMES):
        numbers[sum(1 << bit for bit, part in enumerate(_DIRECTIONS) if part in name)] = number
    return numbers


_NUMBERS = _numbers()


def as_discrete(actions: np.ndarray[Any, Any], threshold: float) -> tuple[Int64Array, Int32Array]:
    """What ale-py makes of continuous actions.

    Args:
        actions: [N, 3] radius 0..1, angle -pi..pi (0 is right, pi / 2 up) and fire 0..1.
        threshold: from here on a direction counts, and the button.

    Returns:
        ale-py's numbers of actions, int64 [N], and by how many ohms they turn a paddle, int32 [N].
    """
    radius, angle, fire = actions.astype(np.float32).astype(np.float64).T  # products are of doubles
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    wanted = (y > threshold, y < -threshold, x > threshold, x < -threshold, fire > threshold)
    bits = sum(part.astype(np.int64) << bit for bit, part in enumerate(wanted))
    return _NUMBERS[bits], (PADDLE_STEP * np.abs(radius)).astype(np.int32)
