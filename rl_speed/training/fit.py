"""Carries a run out: trains until the goal, a limit or a wish to stop, confirms, and writes the result."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Callback
from rich.console import Console

from rl_speed.config import RunConfig
from rl_speed.experience.parts import Parts
from rl_speed.system.ending import Ending, Stopwatch
from rl_speed.system.errors import UserError
from rl_speed.system.torch_threads import torch_threads
from rl_speed.training.build import Occasion, Run, build
from rl_speed.training.checkpoint.folders import MODEL_FILE
from rl_speed.training.checkpoint.reading import check_parts, read_model
from rl_speed.training.evaluation import Protocol, play_games
from rl_speed.training.plan import Plan, make_plan, replay_bytes
from rl_speed.training.result import Counts, last_line, make_result, write_result


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    result: dict[str, Any]
    directory: Path


def fit(
    config: RunConfig,
    preset: str,
    resume: Path | None = None,
    console: Console | None = None,
    watchers: Sequence[Callback] = (),
    parts: Parts | None = None,
    stop: threading.Event | None = None,
    kept: Mapping[str, Any] | None = None,
) -> Outcome:
    """Trains until the goal, a limit or `stop`; then confirms on fresh games and writes result.json.

    Args:
        config: what is asked for.
        preset: its name, for the result.
        resume: folder of the checkpoint to go on from; the run's own folder is used again.
        console: where the user reads; standard output by default.
        watchers: callbacks of the caller's, after all others but the one that closes the games.
        parts: what plays and what learns; by default ale-py's game and our network.
        stop: set from outside when the run should end.
        kept: choices of the checkpoint that hold on; by default all of them.

    Returns:
        the result and where it lies.

    Raises:
        UserError: with a sentence for the user.
        KeyboardInterrupt: the run was interrupted, and saved.
    """
    parts = parts or Parts()
    facts: dict[str, Any] = {}
    gradient_steps = -1
    if resume is not None:
        content = read_model(resume)
        facts, gradient_steps = content["rl_speed"], content["global_step"]
        check_parts(resume, facts, parts)
    occasion = Occasion(
        preset,
        console or Console(),
        Ending(stop, config.stop.max_seconds),
        Stopwatch(float(facts.get("elapsed_seconds", 0.0))),
        resume,
        None if resume is None else _version_of(resume, config),
    )
    plan = make_plan(config, parts, facts.get("kept") if kept is None else kept, gradient_steps + 1)
    _announce(plan, occasion)
    with torch_threads(plan.learner_threads):
        run = build(plan, occasion)
        callbacks: list[Callback] = run.trainer.callbacks  # type: ignore[attr-defined]
        callbacks[-1:-1] = watchers
        try:
            _start_folder(run, occasion)
            _train(run, resume)
        finally:
            run.line.generator.close()
        return Outcome(_finish(run, occasion), run.directory)


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


def _finish(run: Run, occasion: Occasion) -> dict[str, Any]:
    """Writes the result, confirms a run that nobody has stopped, and says how it ended."""
    reason = "solved" if run.stop_at_reward.is_solved else run.stop_at_limits.reason or "interrupted"
    counts = Counts(occasion.watch.elapsed_seconds(), run.line.dataset.env_steps, run.trainer.global_step)
    result = make_result(run.plan, occasion.preset, reason, counts, run.statistics, run.meter, run.checkpoints.newest)
    if not run.trainer.is_global_zero:
        return result
    try:
        write_result(run.directory, result)
        if not occasion.ending.stop.is_set() and run.plan.config.stop.confirm_episodes:
            result["confirmation"] = _confirm(run, occasion)
            write_result(run.directory, result)
    finally:
        occasion.notify(last_line(result))
    if run.checkpoints.error is not None:
        raise run.checkpoints.error
    return result


def _version_of(checkpoint: Path, config: RunConfig) -> int | None:
    """The number of the run that a checkpoint lies in; None if it lies elsewhere."""
    run = checkpoint.resolve().parent.parent
    if run.parent != Path(config.logging.directory).resolve():
        return None
    name, _, number = run.name.partition("_")
    return int(number) if name == "version" and number.isdigit() else None


def _start_folder(run: Run, occasion: Occasion) -> None:
    """Makes the run's folder and writes the configuration into it, as it was asked for."""
    if not run.trainer.is_global_zero:
        return
    asked = run.plan.asked
    try:
        run.directory.mkdir(parents=True, exist_ok=True)
        (run.directory / "config.yaml").write_text(
            yaml.safe_dump(asked.model_dump(mode="json"), sort_keys=False), encoding="utf-8"
        )
    except OSError as error:
        raise UserError(
            f"logging.directory = {asked.logging.directory!r} cannot be written ({error}); choose another folder"
        ) from None
    occasion.notify(f"logs: {run.directory}")


def _confirm(run: Run, occasion: Occasion) -> dict[str, float] | None:
    """Plays fresh games with the final weights, off the clock; None if it was stopped."""
    config = run.plan.config
    protocol = Protocol(config.stop.confirm_episodes, config.stop.confirm_epsilon, run.plan.seeds.confirmation)
    occasion.notify(f"confirming over {protocol.episodes} games at epsilon {protocol.epsilon:g} ...")
    network = run.line.module.online_network.eval()
    played = play_games(network, config, protocol, run.plan.parts, occasion.ending.stop)
    return None if played is None else played.summary()


def quiet_lightning() -> None:
    """Silences advice that does not apply here, for a program of its own: the loader has no workers by design, logs
    have their own axes. Whoever calls `fit` from a program with other uses of Lightning leaves it out."""
    import logging
    import warnings

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for text in (".*does not have many workers.*", ".*treespec.*", ".*`isinstance.treespec.*", ".*barrier.*"):
        warnings.filterwarnings("ignore", text)
    warnings.filterwarnings("ignore", category=FutureWarning)
