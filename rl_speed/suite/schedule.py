"""Starts the runs that are missing, as many at once as there is room for, and sees each of them end."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rl_speed.config import RunConfig
from rl_speed.suite.child import FINISHED, INTERRUPTED, LEAST_PATIENCE_SECONDS, LOST
from rl_speed.suite.folder import END_FILE, FAILURE_FILE, LOG_FILE, RunKey
from rl_speed.suite.local import LocalRun
from rl_speed.suite.placement import Placement, Room, decide_at_once, disk_bytes, patience_seconds
from rl_speed.suite.plan import SuitePlan
from rl_speed.suite.score_file import has_score, read_score
from rl_speed.system.cores import usable_cores
from rl_speed.system.errors import UserError
from rl_speed.system.json_file import write_whole
from rl_speed.system.machine import has_cuda
from rl_speed.system.memory import free_memory_bytes
from rl_speed.training.result import clock_text

LOOK_SECONDS = 0.2


class RunInWork(Protocol):
    """A run that was started."""

    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it goes on.

        Raises:
            UserError: no run can be started where it was to run.
        """

    def ask_to_end(self) -> None:
        """Has it save and end."""

    def kill(self) -> None:
        """Ends it at once, with all that it started."""


@dataclass(frozen=True)
class Runner:
    """Where runs go.

    Attributes:
        at_once: how many.
        description: in words, with the reason.
        start: starts one; told its spec and the number of its slot.
        patience_seconds: what a run that is asked to end may take to save itself.
    """

    at_once: int
    description: str
    start: Callable[[dict[str, Any], int], RunInWork]
    patience_seconds: float = LEAST_PATIENCE_SECONDS


@contextmanager
def make_runner(
    plan: SuitePlan,
    configs: Mapping[tuple[str, str], RunConfig],
    at_once: int | None,
    address: str | None,
) -> Iterator[Runner]:
    """Decides where runs go, and how many at once.

    Args:
        plan: of the suite.
        configs: of its runs, by preset and game.
        at_once: as asked for; None: to be decided.
        address: of a Ray cluster; None: this machine.
    """
    cores = usable_cores()
    if at_once is None:
        room = Room(cores, free_memory_bytes(), has_cuda())
        placement = decide_at_once(configs, room, plan.max_seconds is not None)
    else:
        placement = Placement(at_once, "as asked for", at_once)
    if address is not None:
        from rl_speed.suite.ray_tasks import ray_runner

        with ray_runner(address, placement, cores.count) as (count, start):
            yield _runner(count, f"runs in the Ray cluster at once: {count} ({placement.reason})", start, configs)
        return
    # Where a container's quota lets it use fewer than all processors, as many as that: runs share the quota, too.
    every = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(cores.count))
    allowed = every[: cores.count]
    yield _runner(
        placement.at_once,
        f"runs at once: {placement.at_once} ({placement.reason})",
        lambda spec, slot: LocalRun({**spec, **_share(placement, slot, allowed)}),
        configs,
    )


def _runner(
    at_once: int,
    description: str,
    start: Callable[[dict[str, Any], int], RunInWork],
    configs: Mapping[tuple[str, str], RunConfig],
) -> Runner:
    needed = at_once * max(map(disk_bytes, configs.values()))
    disk = f"; up to {needed / 1e9:.1f} GB of the disk for their replays" if needed else ""
    return Runner(at_once, description + disk, start, patience_seconds(configs.values(), at_once))


def _share(placement: Placement, slot: int, allowed: list[int]) -> dict[str, Any]:
    """The cores of a slot, or their number where processes cannot be kept to cores."""
    if placement.shares == 1:
        return {"cores": None, "most_cores": None}
    cores = placement.cores(slot, allowed)
    if hasattr(os, "sched_setaffinity"):
        return {"cores": cores, "most_cores": None}
    return {"cores": None, "most_cores": len(cores)}


def spec_of(plan: SuitePlan, key: RunKey, out: Path, config: RunConfig) -> dict[str, Any]:
    """What the process of a run has to know.

    Args:
        plan: of the suite.
        key: the run.
        out: the suite's folder.
        config: of the run's preset and game, with whatever seed.
    """
    return {
        "preset": key.preset, "game": key.game, "seed": key.seed,
        "config": {**config.model_dump(mode="json"), "seed": key.seed}, "folder": str(key.folder(out)),
        "max_seconds": plan.max_seconds, "episodes": plan.episodes, "epsilon": plan.epsilon, "sticky": plan.sticky,
        "cores": None, "most_cores": None, "patience_seconds": LEAST_PATIENCE_SECONDS,
    }  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """What is carried out, and where.

    Attributes:
        plan: its runs.
        configs: of its runs, by preset and game, as they were read once.
        out: its folder.
    """

    plan: SuitePlan
    configs: Mapping[tuple[str, str], RunConfig]
    out: Path

    def config(self, key: RunKey) -> RunConfig:
        """That of a run, but for the seed."""
        return self.configs[key.preset, key.game]


def carry_out(suite: Suite, runner: Runner, notify: Callable[[str], None]) -> None:
    """Sees to it that every run is finished, or has failed.

    Args:
        suite: what is to be done.
        runner: where runs go.
        notify: prints a line for the user.

    Raises:
        KeyboardInterrupt: it was interrupted; runs in work are saved.
        UserError: runs cannot be started, or the disk has no room for them; runs in work are saved.
    """
    keys, out = suite.plan.runs(), suite.out
    waiting = [key for key in keys if not has_score(key.folder(out))]
    notify(f"{len(keys)} runs: {len(keys) - len(waiting)} finished, {len(waiting)} to do")
    in_work: dict[int, tuple[RunKey, RunInWork]] = {}
    done = len(keys) - len(waiting)
    try:
        while waiting or in_work:
            while waiting and len(in_work) < runner.at_once:
                slot = next(number for number in range(runner.at_once) if number not in in_work)
                _check_room(suite, [waiting[0], *(key for key, _ in in_work.values())])
                key = waiting.pop(0)
                in_work[slot] = key, _start(suite, key, runner, slot)
            time.sleep(LOOK_SECONDS)
            for slot, (key, run) in list(in_work.items()):
                status = run.status()
                if status is None:
                    continue
                del in_work[slot]
                done += 1
                sentence = _note_failure(key.folder(out), status)
                notify(f"[{done}/{len(keys)}] {key}: {sentence or _score_line(key.folder(out))}")
    finally:
        _end([run for _, run in in_work.values()], runner.patience_seconds)


def _check_room(suite: Suite, keys: list[RunKey]) -> None:
    """Refuses to begin where the disk cannot hold what runs side by side have still to write to it."""
    needed = sum(max(0, disk_bytes(suite.config(key)) - _size_bytes(key.folder(suite.out))) for key in keys)
    free = shutil.disk_usage(suite.out).free
    if needed > free:
        raise UserError(
            f"--out {suite.out}: runs side by side write up to {needed / 1e9:.1f} GB for their replays until they are "
            f"finished, but {free / 1e9:.1f} GB are free; make room, choose fewer --at-once or another --out, or "
            f"--set checkpoint.save_replay=false"
        )


def _size_bytes(folder: Path) -> int:
    """What a run's files take; some may vanish meanwhile."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            size += path.lstat().st_size
    return size


def _start(suite: Suite, key: RunKey, runner: Runner, slot: int) -> RunInWork:
    folder = key.folder(suite.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (FAILURE_FILE, END_FILE):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"--out {suite.out} cannot be written ({error}); choose another folder") from None
    spec = spec_of(suite.plan, key, suite.out, suite.config(key))
    return runner.start({**spec, "patience_seconds": runner.patience_seconds}, slot)


def _note_failure(folder: Path, status: int) -> str | None:
    """Why a run that has ended has no score; None if it has one."""
    if has_score(folder):
        return None
    try:
        sentence = json.loads((folder / FAILURE_FILE).read_text(encoding="utf-8"))["error"]
    except (OSError, ValueError, KeyError):
        how = _how_it_ended(status)
        sentence = f"the run's process {how}; its output is in {folder / LOG_FILE}"
        with suppress(OSError):
            write_whole(folder / FAILURE_FILE, {"error": sentence})
    return f"failed: {sentence}"


def _how_it_ended(status: int) -> str:
    if status == INTERRUPTED:
        return "was interrupted and saved; it goes on next time"
    if status == FINISHED:
        return "ended without a score"
    if status == LOST:
        return "was lost with its node of the cluster, or its task was; it goes on next time"
    return f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"


def _score_line(folder: Path) -> str:
    score = read_score(folder)
    games, training = score["evaluation"], score["training"]
    return (
        f"mean {games['mean']:.2f} over {games['episodes']} games, after {training['env_steps']:,} env steps in "
        f"{clock_text(training['seconds'])}"
    )


def _end(runs: list[RunInWork], patience_seconds: float) -> None:
    """Lets runs in work save themselves, and ends those that take too long."""

    def is_at_work(run: RunInWork) -> bool:
        try:
            return run.status() is None
        except UserError:  # the one because of which all have to end: the others still save themselves
            return False

    deadline = time.monotonic() + patience_seconds
    try:
        for run in runs:
            run.ask_to_end()
        while time.monotonic() < deadline and any(map(is_at_work, runs)):
            time.sleep(LOOK_SECONDS)
    finally:
        for run in runs:
            run.kill()
