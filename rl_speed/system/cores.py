"""Cores that this process may use: by affinity, a container's quota and a limit; hardware threads are told apart."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rl_speed.system.cgroup import cpu_quota
from rl_speed.system.errors import UserError

LIMIT_VARIABLE = "RL_SPEED_CORES"  # for programs that share a machine where they cannot be kept to cores


@dataclass(frozen=True)
class Cores:
    """Cores that may be used.

    Attributes:
        count: threads that can run at once, hardware threads of one core counted singly.
        physical: cores among them; a second hardware thread adds little to arithmetic.
        reason: what decided, in words.
    """

    count: int
    physical: int
    reason: str


def shared_by(cores: Cores, processes: int) -> Cores:
    """What each of some equal processes may keep busy."""
    if processes == 1:
        return cores
    return Cores(
        max(1, cores.count // processes),
        max(1, cores.physical // processes),
        f"{cores.reason}, shared by {processes} ranks",
    )


def _allowed() -> list[int]:
    """Numbers of the processors that this process may run on."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        return list(range(os.cpu_count() or 1))


def _physical(allowed: list[int], root: Path) -> int:
    """How many cores the allowed processors lie on; all of them where the system does not tell."""
    places = set()
    for number in allowed:
        folder = root / f"sys/devices/system/cpu/cpu{number}/topology"
        place: tuple[str, ...] = (f"cpu{number}",)
        with suppress(OSError):
            place = tuple((folder / name).read_text().strip() for name in ("physical_package_id", "core_id"))
        places.add(place)
    return len(places)


def _limit() -> int | None:
    """The most cores that the environment lets this program use; None: as many as there are."""
    text = os.environ.get(LIMIT_VARIABLE, "")
    if not text:
        return None
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"{LIMIT_VARIABLE} = {text!r} must be a number of cores, 1 or more; or unset it")
    return int(text)


def usable_cores(root: Path = Path("/"), allowed: list[int] | None = None) -> Cores:
    """Counts the cores that this process may use.

    Args:
        root: of the file system; tests give one of their own.
        allowed: numbers of the processors; None: the process's affinity.

    Raises:
        UserError: the environment's limit is no number.
    """
    allowed = _allowed() if allowed is None else allowed
    machine = os.cpu_count() or len(allowed)
    count, reason = len(allowed), f"{len(allowed)} of the machine's {max(machine, len(allowed))}"
    if len(allowed) < machine:
        reason += " (affinity)"
    quota = cpu_quota(root)
    if quota is not None and quota < count:
        # Less than a whole core over the last whole one would make one of the threads wait for the next period.
        count = max(1, int(quota))
        reason += f", {quota:g} by the container's quota"
    limit = _limit()
    if limit is not None and limit < count:
        count = limit
        reason += f", {limit} by {LIMIT_VARIABLE}"
    physical = min(_physical(allowed, root), count)
    if physical < count:
        reason += f", two hardware threads a core: {physical} cores"
    return Cores(count, physical, reason)
