"""Runs as tasks of a Ray cluster: each starts the same process as on one machine, on a node that has room."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rl_speed.suite.child import LOST
from rl_speed.suite.folder import END_FILE
from rl_speed.suite.local import LocalRun
from rl_speed.suite.placement import Placement
from rl_speed.system.errors import UserError
from rl_speed.system.ray_cluster import LEAST_STORE_BYTES, brief, connect

_NO_FOLDER = 73  # exit status of a run whose node does not see its folder
LOOK_SECONDS = 0.2


def run_on_node(spec: dict[str, Any]) -> int:
    """What a task does. A task that is cancelled, or finds END_FILE, has its run save itself, and waits for that: Ray
    ends what a process has started together with it.

    Args:
        spec: see `schedule.spec_of`.
    """
    folder = Path(spec["folder"])
    if not folder.is_dir():
        return _NO_FOLDER
    run = LocalRun(spec)
    try:
        while (status := run.status()) is None:
            time.sleep(LOOK_SECONDS)
            if (folder / END_FILE).exists():
                run.ask_to_end()
        return status
    finally:
        run.ask_to_end()
        deadline = time.monotonic() + spec["patience_seconds"]
        while run.status() is None and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        run.kill()


class TaskRun:
    """A run that is queued, or at work on some node.

    Args:
        ray: the module.
        reference: of the task's answer.
        folder: the run's.
    """

    def __init__(self, ray: Any, reference: Any, folder: Path) -> None:
        self._ray, self._reference, self._folder = ray, reference, folder

    def status(self) -> int | None:
        """Its exit status; None while it waits or goes on.

        Raises:
            UserError: a node of the cluster cannot start runs.
        """
        ready, _ = self._ray.wait([self._reference], timeout=0)
        if not ready:
            return None
        try:
            status = int(self._ray.get(self._reference))
        except Exception as error:  # Ray has a type for each way in which a task can be lost
            cause = getattr(error, "cause", None)  # of what was raised on the node
            if isinstance(cause, (UserError, ImportError)):
                raise UserError(
                    f"--address: a node of the cluster cannot start a run ({brief(cause)}); every node needs this "
                    f"version of rl_speed, and a user who may write to --out"
                ) from None
            return LOST
        if status == _NO_FOLDER:
            raise UserError("--address: a node of the cluster does not see --out; give a folder that all nodes share")
        return status

    def ask_to_end(self) -> None:
        """Takes the task back if it still waits; else tells it, and it has its run save itself."""
        with suppress(OSError):  # a full disk
            (self._folder / END_FILE).touch()
        self._cancel(force=False)  # an interrupt alone can be lost on its way to a busy worker

    def kill(self) -> None:
        """Ends the task's process at once, and the run with it."""
        self._cancel(force=True)

    def _cancel(self, force: bool) -> None:
        with suppress(Exception):
            self._ray.cancel(self._reference, force=force)


@contextmanager
def ray_runner(
    address: str, placement: Placement, cores: int
) -> Iterator[tuple[int, Callable[[dict[str, Any], int], TaskRun]]]:
    """Joins the cluster.

    Args:
        address: of its head, or auto.
        placement: of runs on this machine: each node is taken to hold as many of them.
        cores: of this machine.

    Yields:
        runs at once, and what starts one.

    Raises:
        UserError: Ray is not installed, or the cluster does not answer.
    """
    cluster = connect(f"--address {address}", address, cores, LEAST_STORE_BYTES, address_as="--address")
    try:
        cpus = max(1, cores // placement.at_once)  # so many that a node takes no more runs than there is room for
        limit = max(1, cores // placement.shares) if placement.shares > 1 else None
        count = cluster.places(cpus)
        if count == 0:
            raise UserError(
                f"--address {address}: no node has the {cpus} CPUs that one run takes here; add a larger node, or set "
                f"--at-once higher"
            )
        task = cluster.ray.remote(num_cpus=cpus, max_retries=0)(run_on_node)

        def start(spec: dict[str, Any], slot: int) -> TaskRun:
            return TaskRun(cluster.ray, task.remote({**spec, "most_cores": limit}), Path(spec["folder"]))

        yield count, start
    finally:
        cluster.close()
