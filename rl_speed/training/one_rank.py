"""One rank's run: trains until the goal, a limit or a wish to stop; rank 0 writes the result."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Callback
from rich.console import Console

from rl_speed.experience.parts import Parts
from rl_speed.system.durable import write_text_whole
from rl_speed.system.ending import Ending, Stopwatch
from rl_speed.system.errors import RankError, UserError
from rl_speed.training.build import Occasion, Run, at_work, build
from rl_speed.training.checkpoint.folders import MODEL_FILE, list_checkpoints
from rl_speed.training.checkpoint.reading import check_parts, read_model
from rl_speed.training.checkpoint.resuming import Request
from rl_speed.training.curve_files import CurveFileError
from rl_speed.training.curves import cut_curves
from rl_speed.training.decisions import replay_bytes
from rl_speed.training.divergence import DivergedError
from rl_speed.training.logger import run_logger
from rl_speed.training.plan import Plan, make_plan
from rl_speed.training.ranks.group import Ranks
from rl_speed.training.ranks.joining import plan_together
from rl_speed.training.result import Counts, Judgement, last_line, make_result, write_result
from rl_speed.training.run_folder import CHECKPOINTS, CONFIG_FILE, RunFolder, new_run_folder


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    result: dict[str, Any]
    directory: Path


@dataclass(frozen=True)
class Task:
    """What every rank has to know; it travels to those that are started here.

    Attributes:
        request: what is asked for, and the checkpoint to go on from.
        parts: what plays and what learns.
        started: moment of `time.monotonic` from which the run's time counts; None: now.
        folder: of the run, where another process has it; None: rank 0 takes it.
    """

    request: Request
    parts: Parts
    started: float | None
    folder: Path | None = None


def run_rank(task: Task, console: Console, watchers: Sequence[Callback], ranks: Ranks, ending: Ending) -> Outcome:
    """Trains as one of the ranks, and writes the result on rank 0.

    Args:
        task: what all of them know.
        console: where the user reads what rank 0 has to say.
        watchers: callbacks of the caller's.
        ranks: all of them; this one may be by itself.
        ending: of this one.

    Raises:
        UserError: with a sentence for the user.
        RankError: another rank is gone.
        KeyboardInterrupt: the run was interrupted, and saved.
    """
    request = task.request
    with ExitStack() as stack:
        path = run_folder_for(task, ranks, stack)
        earlier = _Earlier() if request.folder is None else _read_earlier(request.folder)
        occasion = Occasion(
            request.preset,
            path,
            console if ranks.is_first else Console(quiet=True),
            ending,
            Stopwatch(float(earlier.facts.get("elapsed_seconds", 0.0)), task.started),
            request.folder,
            ranks,
        )
        plan = _plan(request, task.parts, earlier, occasion)
        stack.enter_context(at_work(plan))
        run = build(plan, occasion)
        stack.callback(_end_curves, run)
        stack.callback(run.line.generator.close)
        callbacks: list[Callback] = run.trainer.callbacks  # type: ignore[attr-defined]
        callbacks[-1:-1] = watchers
        if ranks.is_first:
            if request.folder is not None:
                _cut_curves(earlier, run, occasion)
            _note_request(run, occasion)
        return Outcome(_carry_out(run, occasion), path)


def run_folder_for(task: Task, ranks: Ranks, stack: ExitStack) -> Path:
    """The run's folder, which rank 0 takes for itself; the others see it or do not begin."""
    request, path = task.request, task.folder
    if ranks.is_first and path is None:
        new = Path(request.config.logging.directory)
        folder = RunFolder(request.run_folder) if request.run_folder else new_run_folder(new)
        stack.callback(folder.release)
        path = folder.path.absolute() if ranks.size > 1 else folder.path
    path = ranks.from_first(path)
    assert isinstance(path, Path)
    is_seen = ranks.gather_values(path.is_dir())
    if not all(is_seen):
        raise UserError(
            f"logging.directory: rank {is_seen.index(False)} does not see the run's folder {path}; all machines need "
            f"one shared folder, so set it to that"
        )
    return path


@dataclass(frozen=True)
class _Earlier:
    """What a checkpoint says of the run so far. Nothing of its file is kept: it may be removed."""

    facts: dict[str, Any] = field(default_factory=dict)
    gradient_steps: int = -1
    episodes: int = 0


def _read_earlier(checkpoint: Path) -> _Earlier:
    content = read_model(checkpoint)
    episodes = content["callbacks"]["EpisodeStatistics"]["episodes"]
    return _Earlier(content["rl_speed"], content["global_step"], episodes)


def _plan(request: Request, parts: Parts, earlier: _Earlier, occasion: Occasion) -> Plan:
    """Decides about the run, and tells the user."""
    if request.folder is not None:
        check_parts(request.folder, earlier.facts, parts)
    attempt, ranks = earlier.gradient_steps + 1, occasion.ranks
    plan = plan_together(
        ranks,
        request.kept,
        lambda kept: make_plan(request.config, parts, kept, attempt, occasion.ending, ranks.place),
    )
    _announce(plan, occasion)
    return plan


def _carry_out(run: Run, occasion: Occasion) -> dict[str, Any]:
    """Trains and writes the result, also of a run that diverges."""
    occasion.ranks.say_at_last(lambda: _note_loss(run, occasion))
    try:
        _train(run, occasion.checkpoint)
        if occasion.ranks.failure is not None:
            raise occasion.ranks.failure
    except DivergedError as error:
        newest = _write(run, occasion, "diverged")["checkpoint"]
        kept = "there is no checkpoint" if newest is None else f"the last checkpoint is {newest}"
        raise DivergedError(f"{error}; {kept}") from None
    except (RankError, UserError) as error:
        if error is not occasion.ranks.failure:
            raise
        raise type(error)(f"{error}{_note_loss(run, occasion)}") from None
    return _finish(run, occasion)


def _note_loss(run: Run, occasion: Occasion) -> str:
    """Writes the result of a run that has lost a rank; gives the end of the sentence."""
    newest = _write(run, occasion, "rank_lost")["checkpoint"]
    return "; there is no checkpoint to go on from" if newest is None else f"; go on with --resume {newest}"


def _announce(plan: Plan, occasion: Occasion) -> None:
    for line in plan.lines():
        occasion.notify(line)
    settings = plan.config.replay
    gigabytes = replay_bytes(plan.config) / 1e9
    occasion.notify(
        f"replay: {settings.capacity_env_steps:,} transitions, {gigabytes:.2f} GB of {settings.device} memory"
    )


def _train(run: Run, resume: Path | None) -> None:
    """Lightning's part; an interrupt comes out as what it is.

    Lightning answers a KeyboardInterrupt by ignoring Ctrl-C for good and leaving the interpreter, which would take a
    notebook with it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if is_main else None
    try:
        run.trainer.fit(
            run.line.module,
            train_dataloaders=run.line.dataset,
            ckpt_path=None if resume is None else str(resume / MODEL_FILE),
            weights_only=True,
        )
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


def _end_curves(run: Run) -> None:
    """Last of all: a tracker may wait for its server."""
    if (logger := run_logger(run.trainer)) is not None:
        logger.end()


def _cut_curves(earlier: _Earlier, run: Run, occasion: Occasion) -> None:
    """Takes out of the curves what was drawn after the checkpoint: it is drawn anew."""
    try:
        cut_curves(occasion.folder, earlier.episodes, run.line.dataset.env_steps, earlier.gradient_steps)
    # ValueError: TensorBoard opens no file whose name is no text.
    except (OSError, CurveFileError, ValueError) as error:
        occasion.notify(f"the curves in {occasion.folder} cannot be cut at the checkpoint ({error}); the run goes on")


def _write(run: Run, occasion: Occasion, reason: str) -> dict[str, Any]:
    """Writes result.json as things stand."""
    counts = Counts(occasion.watch.elapsed_seconds(), run.line.dataset.env_steps, run.trainer.global_step)
    judgement = Judgement(reason, run.goal.confirmed, run.goal.failed)
    newest = run.checkpoints.newest or next(iter(list_checkpoints(occasion.folder / CHECKPOINTS)), None)
    result = make_result(run.plan, occasion.preset, judgement, counts, run.statistics, run.meter, newest)
    if occasion.ranks.is_first:
        write_result(occasion.folder, result)
    return result


def _finish(run: Run, occasion: Occasion) -> dict[str, Any]:
    """Writes the result and says how the run ended."""
    result = _write(run, occasion, run.goal.reason or run.limits.reason or "interrupted")
    occasion.ranks.release()
    if not occasion.ranks.is_first:
        return result
    try:
        if run.plan.config.stop.confirm_unsolved and not result["solved"] and not occasion.ending.stop.is_set():
            # A limit of wall time is over, and these games were asked for.
            ending = Ending(occasion.ending.stop)
            network, attempt = run.line.module.acting_network, len(run.goal.failed)
            result["confirmation"] = run.confirmation.play(network, attempt, ending)
            write_result(occasion.folder, result)
    finally:
        occasion.notify(last_line(result))
    if run.checkpoints.error is not None:
        raise run.checkpoints.error
    return result


def _note_request(run: Run, occasion: Occasion) -> None:
    """Writes the configuration into the run's folder and its tracker, as it was asked for."""
    asked, path = run.plan.asked.model_dump(mode="json"), occasion.folder / CONFIG_FILE
    try:
        write_text_whole(path, yaml.safe_dump(asked, sort_keys=False))
    except OSError as error:
        raise UserError(f"logging.directory: {path} cannot be written ({error}); choose another folder") from None
    occasion.notify(f"logs: {occasion.folder}")
    if (logger := run_logger(run.trainer)) is not None:
        logger.note(asked)
