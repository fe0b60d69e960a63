"""Linux's control groups, version 1 and 2: what a container may use of its machine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Version 1 writes "no limit" as the largest multiple of a page below 2^63.
_UNLIMITED_BYTES = 1 << 60


def _read(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_text(encoding="ascii").strip()
    return None


def _own_paths(root: Path) -> dict[str, str]:
    """The group of this process by controller; version 2 has one hierarchy, named ""."""
    paths = {}
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _folders(mount: Path, path: str) -> Iterator[Path]:
    """The group's folder and those above it: the tightest limit of all holds.

    Inside a container the path may be the host's, which is not there; the mount itself is then the group.
    """
    folder = mount / path.strip("/")
    while folder != mount and mount in folder.parents:
        yield folder
        folder = folder.parent
    yield mount


def _limits(root: Path, controller: str, version_1: str, version_2: str) -> Iterator[tuple[Path, int, str]]:
    """(folder, version, content) of a limit's file, wherever it is set."""
    paths, base = _own_paths(root), root / "sys/fs/cgroup"
    for folder in _folders(base, paths.get("", "")):
        if (content := _read(folder / version_2)) is not None:
            yield folder, 2, content
    for mount in sorted({base / controller, *base.glob(f"*{controller}*")}):
        if mount.is_dir() and controller in mount.name.split(","):
            for folder in _folders(mount, paths.get(controller, "")):
                if (content := _read(folder / version_1)) is not None:
                    yield folder, 1, content


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that the process gets, e.g. 1.5; None: no limit.

    Args:
        root: of the file system; tests give one of their own.
    """
    quotas = []
    for folder, version, content in _limits(root, "cpu", "cpu.cfs_quota_us", "cpu.max"):
        text = content if version == 2 else f"{content} {_read(folder / 'cpu.cfs_period_us')}"
        with suppress(ValueError):
            quota, period = (float(part) for part in text.split())  # "max" is no number: no limit
            if quota > 0 and period > 0 and math.isfinite(quota / period):
                quotas.append(quota / period)
    return min(quotas, default=None)


def memory_limit(root: Path = Path("/")) -> tuple[int, int] | None:
    """(limit, used) in bytes of the group with the least left; None: no limit.

    Pages that only cache files and were not used lately are given back when memory gets short: they do not count as
    used.
    """
    tightest: tuple[int, int] | None = None
    for folder, version, content in _limits(root, "memory", "memory.limit_in_bytes", "memory.max"):
        if not content.isdecimal() or int(content) >= _UNLIMITED_BYTES:
            continue
        used = int(_read(folder / ("memory.current" if version == 2 else "memory.usage_in_bytes")) or 0)
        name = "inactive_file" if version == 2 else "total_inactive_file"
        for line in (_read(folder / "memory.stat") or "").splitlines():
            if line.startswith(f"{name} "):
                used -= int(line.split()[1])
        found = (int(content), max(used, 0))
        if tightest is None or found[0] - found[1] < tightest[0] - tightest[1]:
            tightest = found
    return tightest
