"""Arguments of the envs, checked: each error is a sentence that names the argument, its value and what may be given."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from rl_speed.emulator.settings import CHANNELS
from rl_speed.system.arrays import BoolArray, Int64Array
from rl_speed.system.errors import UserError


def is_gpu(device: Any) -> bool:
    """Whether a device is one; "cpu" and "cuda" are known."""
    name = str(device)
    if name not in ("cpu", "cuda"):
        raise UserError(f"device: {name!r} is not known; give 'cpu' or 'cuda', which is torch's current one")
    return name == "cuda"


def whole(name: str, value: Any, least: int, most: int) -> int:
    """An integer argument, checked."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not is_whole or not least <= value <= most:
        raise UserError(f"{name}: {value!r} cannot be; give a whole number from {least} to {most:,}")
    return int(value)


def number(name: str, value: Any, least: float, most: float) -> float:
    """An argument that is any number, checked."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        raise UserError(f"{name}: {value!r} cannot be; give a number from {least} to {most}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """An argument that is True or False, checked."""
    if not isinstance(value, (bool, np.bool_)):
        raise UserError(f"{name}: {value!r} cannot be; give True or False")
    return bool(value)


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """An array of what a caller gives; of None where none can be made, such as of lists of different lengths."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.array(None)


def as_autoreset_mode(value: Any) -> AutoresetMode:
    """An AutoresetMode, or its value."""
    try:
        return AutoresetMode(value)
    except ValueError:
        known = ", ".join(repr(mode.value) for mode in AutoresetMode)
        raise UserError(f"autoreset_mode: {value!r} is not known; give one of {known}") from None


def as_obs_type(obs_type: str | None, grayscale: bool) -> str:
    """One of CHANNELS."""
    kind = obs_type or ("grayscale" if grayscale else "rgb")
    if not isinstance(kind, str) or kind not in CHANNELS:
        raise UserError(f"obs_type: {obs_type!r} is not known; give one of {', '.join(CHANNELS)}")
    return kind


def as_seeds(given: Any, chosen: BoolArray) -> Int64Array:
    """int64 [N], one for each env; of those that are not reset any number."""
    count, seeds = int(chosen.sum()), np.zeros(len(chosen), dtype=np.int64)
    fix = f"give a whole number, or {count} in a list, from 0 to 2^32 - 1"
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        if not 0 <= given <= 2**32 - count:
            raise UserError(f"seed: {given} cannot be the first of {count} seeds; {fix}")
        seeds[chosen] = int(given) + np.arange(count)
        return seeds
    listed = as_array(given)
    if listed.ndim != 1 or listed.dtype.kind not in "iu" or not ((listed >= 0) & (listed < 2**32)).all():
        raise UserError(f"seed: {given!r} cannot be; {fix}")
    if len(listed) not in (count, len(chosen)):
        raise UserError(f"seed: {given!r} are {len(listed)} seeds; {fix}")
    seeds[chosen] = listed if len(listed) == count else listed[chosen]
    return seeds
