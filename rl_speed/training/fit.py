"""Carries a run out, with as many ranks as it has, wherever they are started."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from pytorch_lightning import Callback
from rich.console import Console

from rl_speed.experience.parts import Parts
from rl_speed.system.ending import Ending
from rl_speed.system.errors import ActorError, ConfigError, RankError, UserError
from rl_speed.training.checkpoint.folders import list_checkpoints
from rl_speed.training.checkpoint.reading import read_model
from rl_speed.training.checkpoint.resuming import Request
from rl_speed.training.one_rank import Outcome, Task, run_folder_for, run_rank
from rl_speed.training.ranks.group import Ranks
from rl_speed.training.ranks.joining import joined
from rl_speed.training.ranks.place import Place, find_place
from rl_speed.training.ranks.ray_learners import Worker, run_learners
from rl_speed.training.result import RESULT_FILE
from rl_speed.training.run_folder import CHECKPOINTS
from rl_speed.training.signals import interrupt_waits


def fit(
    request: Request,
    console: Console | None = None,
    watchers: Sequence[Callback] = (),
    parts: Parts | None = None,
    stop: threading.Event | None = None,
    started: float | None = None,
) -> Outcome:
    """Trains until the goal, a limit or `stop`, and writes result.json.

    With several ranks this is one of them: rank 0, which starts the others of this machine, or whichever one the
    launcher (torchrun, SLURM) says. With `trainer.launcher = ray` it is none of them: Ray starts them all.

    Args:
        request: what is asked for, and the checkpoint to go on from.
        console: where the user reads; standard output by default.
        watchers: callbacks of the caller's, after all others but the one that closes the games; ranks that are started
            here do not have them.
        parts: what plays and what learns; by default ale-py's game and our network.
        stop: set from outside when the run should end.
        started: moment of `time.monotonic` from which the run's time counts; None: now.

    Returns:
        the result and where it lies.

    Raises:
        UserError: with a sentence for the user.
        RankError: another rank is gone.
        KeyboardInterrupt: the run was interrupted, and saved.
    """
    task = Task(request, parts or Parts(), started)
    if request.config.trainer.launcher == "ray":
        if watchers:
            raise ConfigError(
                "trainer.launcher = ray: callbacks do not go along to the processes that Ray starts; leave them "
                "out, or set it to auto"
            )
        return _fit_on_ray(task, console or Console(), Ending(stop, request.config.stop.max_seconds, started))
    place = find_place(request.config.trainer)
    ending = Ending(stop, request.config.stop.max_seconds if place.is_first else None, started)
    together = joined(request.config, place, ending, partial(_serve_rank, task))
    with interrupt_waits(place.world_size, ending.stop), together as ranks:
        return run_rank(task, console or Console(), watchers, ranks, ending)


def _serve_rank(task: Task, place: Place, port: int, stop: threading.Event) -> None:
    """What a rank does that was started by rank 0: the same run, without a word."""
    quiet_lightning()
    ending, has_joined = Ending(stop), False
    try:
        with joined(task.request.config, place, ending, address=("127.0.0.1", port)) as ranks:
            has_joined = True
            run_rank(task, Console(quiet=True), (), ranks, ending)
    except (UserError, ActorError, RankError) as error:
        if not has_joined:  # else rank 0 was told, and tells the user
            sys.stderr.write(f"rank {place.rank}: {error}\n")
        raise SystemExit(1) from None


def _fit_on_ray(task: Task, console: Console, ending: Ending) -> Outcome:
    """The run as Ray Train carries it out; this process keeps its folder, and shows what rank 0 says."""
    now = time.monotonic()
    begun = time.time() - (now - (now if task.started is None else task.started))
    with ExitStack() as stack:
        path = run_folder_for(task, Ranks(), stack).absolute()
        request, checkpoint = task.request, task.request.folder
        if checkpoint is not None:  # Ray's processes have working directories of their own
            request = replace(request, folder=checkpoint.absolute())
        learn = partial(_learn_on_ray, replace(task, request=request, folder=path), begun, _stamps(path))
        stack.enter_context(interrupt_waits(task.request.config.trainer.world_size + 1, ending.stop))
        run_learners(task.request.config, path, learn, console, ending)
        return Outcome(json.loads((path / RESULT_FILE).read_text(encoding="utf-8")), path)


def _stamps(folder: Path) -> dict[Path, int]:
    """A run's checkpoints, newest first, and when each was written, in ns."""
    return {path: path.stat().st_mtime_ns for path in list_checkpoints(folder / CHECKPOINTS)}


def _learn_on_ray(task: Task, begun: float, known: dict[Path, int], worker: Worker) -> None:
    """What a rank does that Ray Train has started, or has started again: then it goes on from the last checkpoint.

    Args:
        task: with the run's folder.
        begun: moment of `time.time` from which the run's time counts.
        known: checkpoints that were there before this run, and when they were written.
        worker: this rank's place.
    """
    quiet_lightning()
    assert task.folder is not None
    with joined(task.request.config, worker.place, worker.ending, address=worker.address) as ranks:
        written = [path for path, stamp in _stamps(task.folder).items() if known.get(path) != stamp]
        newest = ranks.from_first(next(iter(written), None))
        if newest is None:
            task = replace(task, started=time.monotonic() - (time.time() - begun))
        else:
            worker.console.print(f"a rank was lost: all are started anew, and go on from {newest.name}")
            kept = read_model(newest)["rl_speed"]["kept"]
            task = replace(task, request=replace(task.request, folder=newest, kept=kept), started=None)
        run_rank(task, worker.console, (), ranks, worker.ending)


def quiet_lightning() -> None:
    """Silences advice that does not apply here, for a program of its own: the loader has no workers by design, logs
    have their own axes. Whoever calls `fit` from a program with other uses of Lightning leaves it out."""
    import warnings

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for text in (".*does not have many workers.*", ".*treespec.*", ".*`isinstance.treespec.*", ".*barrier.*"):
        warnings.filterwarnings("ignore", text)
    warnings.filterwarnings("ignore", category=FutureWarning)
