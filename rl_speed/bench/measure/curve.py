"""A whole training run whose returns are kept against time: what `bench --to-solve` compares."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback
from rich.console import Console

from rl_speed.config import RunConfig
from rl_speed.system.errors import CheckpointError
from rl_speed.training.callbacks.episodes import EpisodeCounter
from rl_speed.training.checkpoint.resuming import Request
from rl_speed.training.fit import fit
from rl_speed.training.result import RESULT_FILE

MAX_POINTS = 500


class CurveRecorder(Callback):
    """Notes (seconds, env steps, mean return of the window) after each batch in which a game ended.

    The seconds are the run's: confirmations are not in them.
    """

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self.points: list[tuple[float, int, float]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Looks at the newest games."""
        counter = next(c for c in trainer.callbacks if isinstance(c, EpisodeCounter))  # type: ignore[attr-defined]
        average = counter.statistics.average_return
        if counter.newest and average is not None:
            self.points.append((counter.place()["seconds"], counter.newest[-1].env_steps, average))
            self._announce(f"train: avg_reward {average:.2f}")


def thin(points: list[tuple[float, int, float]], most: int = MAX_POINTS) -> list[tuple[float, int, float]]:
    """At most so many points of a curve, evenly spaced, the first and the last among them."""
    if len(points) <= most:
        return points
    step = (len(points) - 1) / (most - 1)
    return [points[round(i * step)] for i in range(most)]


def run_with_curve(
    config: RunConfig, preset: str, console: Console, announce: Callable[[str], None], started: float | None = None
) -> dict[str, Any]:
    """Trains until the goal or the limit; returns result.json's content and the curve.

    Args:
        config: of the run.
        preset: its name.
        console: where the run's own lines go.
        announce: called with what is going on.
        started: moment of `time.monotonic` from which the run's time counts; None: now.
    """
    recorder = CurveRecorder(announce)
    try:
        result = fit(Request(None, preset, config), console, [recorder], started=started).result
    except CheckpointError as error:  # a full disk costs the checkpoint; how the run went is known
        path = next(Path(config.logging.directory).glob(f"version_*/{RESULT_FILE}"), None)
        if path is None:
            raise
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        result = json.loads(path.read_text(encoding="utf-8"))
    kept = (
        "solved", "stop_reason", "seconds", "env_steps", "gradient_steps", "episodes", "avg_reward", "clocks",
        "confirmation", "seed", "env_steps_per_second", "plan",
    )  # fmt: skip
    return {
        **{name: result[name] for name in kept},
        "failed_confirmations": result.get("failed_confirmations", []),
        "curve": thin(recorder.points),
        "preset": Path(preset).stem,
        "stop_reward": config.stop.reward,
        "frame_skip": config.envs.frames_per_env_step,
    }
