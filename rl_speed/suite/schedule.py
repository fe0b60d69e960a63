"""Starts the runs that are missing, as many at once as there is room for, and sees each of them end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rl_speed.config import RunConfig
from rl_speed.suite.child import FINISHED, INTERRUPTED, PATIENCE_SECONDS
from rl_speed.suite.folder import FAILURE_FILE, LOG_FILE, SCORE_FILE, RunKey
from rl_speed.suite.local import LocalRun
from rl_speed.suite.placement import Placement, Room, decide_at_once
from rl_speed.suite.plan import SuitePlan
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
        """Its exit status, negative for a signal; None while it goes on."""

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
    """

    at_once: int
    description: str
    start: Callable[[dict[str, Any], int], RunInWork]


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
        placement = Placement(at_once, "as asked for")
    if address is not None:
        from rl_speed.suite.ray_tasks import ray_runner

        with ray_runner(address, placement, cores.count) as (count, start):
            yield Runner(count, f"runs in the Ray cluster at once: {count} ({placement.reason})", start)
        return
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(cores.count))
    yield Runner(
        placement.at_once,
        f"runs at once: {placement.at_once} ({placement.reason})",
        lambda spec, slot: LocalRun({**spec, **_share(placement, slot, allowed)}),
    )


def _share(placement: Placement, slot: int, allowed: list[int]) -> dict[str, Any]:
    """The cores of a slot, or the threads where processes cannot be kept to cores."""
    if placement.at_once == 1:
        return {"cores": None, "threads": None}
    cores = placement.cores(slot, allowed)
    if hasattr(os, "sched_setaffinity"):
        return {"cores": cores, "threads": None}
    return {"cores": None, "threads": len(cores)}


def spec_of(plan: SuitePlan, key: RunKey, out: Path) -> dict[str, Any]:
    """What the process of a run has to know."""
    return {
        "preset": key.preset, "source": plan.presets[key.preset], "game": key.game, "seed": key.seed,
        "changes": plan.changes(key), "folder": str(key.folder(out)), "max_seconds": plan.max_seconds,
        "episodes": plan.episodes, "epsilon": plan.epsilon, "sticky": plan.sticky, "cores": None, "threads": None,
    }  # fmt: skip


def carry_out(plan: SuitePlan, out: Path, runner: Runner, notify: Callable[[str], None]) -> bool:
    """Sees to it that every run is finished, or has failed.

    Args:
        plan: of the suite.
        out: its folder.
        runner: where runs go.
        notify: prints a line for the user.

    Returns:
        whether some failed.

    Raises:
        KeyboardInterrupt: it was interrupted; runs in work are saved.
    """
    keys = plan.runs()
    waiting = [key for key in keys if not (key.folder(out) / SCORE_FILE).exists()]
    notify(f"{len(keys)} runs: {len(keys) - len(waiting)} finished, {len(waiting)} to do")
    in_work: dict[int, tuple[RunKey, RunInWork]] = {}
    done, failed = len(keys) - len(waiting), False
    try:
        while waiting or in_work:
            while waiting and len(in_work) < runner.at_once:
                slot = next(number for number in range(runner.at_once) if number not in in_work)
                key = waiting.pop(0)
                in_work[slot] = key, _start(plan, key, out, runner, slot)
            time.sleep(LOOK_SECONDS)
            for slot, (key, run) in list(in_work.items()):
                status = run.status()
                if status is None:
                    continue
                del in_work[slot]
                done += 1
                sentence = _note_failure(key.folder(out), status)
                failed = failed or sentence is not None
                notify(f"[{done}/{len(keys)}] {key}: {sentence or _score_line(key.folder(out))}")
    finally:
        _end([run for _, run in in_work.values()])
    return failed


def _start(plan: SuitePlan, key: RunKey, out: Path, runner: Runner, slot: int) -> RunInWork:
    folder = key.folder(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAILURE_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"--out {out} cannot be written ({error}); choose another folder") from None
    return runner.start(spec_of(plan, key, out), slot)


def _note_failure(folder: Path, status: int) -> str | None:
    """Why a run that has ended has no score; None if it has one."""
    if (folder / SCORE_FILE).exists():
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
    return f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"


def _score_line(folder: Path) -> str:
    score = json.loads((folder / SCORE_FILE).read_text(encoding="utf-8"))
    games, training = score["evaluation"], score["training"]
    return (
        f"mean {games['mean']:.2f} over {games['episodes']} games, after {training['env_steps']:,} env steps in "
        f"{clock_text(training['seconds'])}"
    )


def _end(runs: list[RunInWork]) -> None:
    """Lets runs in work save themselves, and ends those that take too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        for run in runs:
            run.ask_to_end()
        while time.monotonic() < deadline and any(run.status() is None for run in runs):
            time.sleep(LOOK_SECONDS)
    finally:
        for run in runs:
            run.kill()
