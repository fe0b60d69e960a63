"""What a run leaves behind for people and machines: its last line and result.json."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from rl_speed.config import RunConfig
from rl_speed.system.errors import UserError
from rl_speed.system.machine import machine, versions
from rl_speed.training.callbacks import EpisodeStatistics, FpsLogger

CONFIRMATION_SLACK = 0.5  # a confirmation this far below the goal does not bear the stop out


def clock_text(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def make_result(
    config: RunConfig,
    preset: str,
    stop_reason: str,
    seconds: float,
    env_steps: int,
    gradient_steps: int,
    statistics: EpisodeStatistics,
    fps: FpsLogger,
    checkpoint: Path | None,
) -> dict[str, Any]:
    """What result.json holds; docs/metrics.md explains each entry.

    Args:
        config: the run.
        preset: its name.
        stop_reason: solved, interrupted, or the limit that was reached.
        seconds: wall time, the confirmation not included.
        env_steps: of the run.
        gradient_steps: of the run.
        statistics: finished games.
        fps: speeds and time shares.
        checkpoint: the last one, if any.
    """
    return {
        "solved": stop_reason == "solved",
        "stop_reason": stop_reason,
        "seconds": round(seconds, 3),
        "env_steps": env_steps,
        "frames": env_steps * config.envs.frame_skip,
        "gradient_steps": gradient_steps,
        "episodes": statistics.episodes,
        "avg_reward": statistics.average_return,
        "clocks": statistics.clocks,
        "env_steps_per_second": {
            "prefill": fps.prefill_env_steps_per_second(),
            "steady": fps.steady_env_steps_per_second(),
        },
        "gradient_steps_per_second": fps.steady_gradient_steps_per_second(gradient_steps),
        "time_shares": fps.time_shares(),
        "actor_time_shares": fps.actor_time_shares(),
        "confirmation": None,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "config": config.model_dump(mode="json"),
        "preset": preset,
        "seed": config.seed,
        "versions": versions(),
        "machine": machine(),
    }


def write_result(directory: Path, result: dict[str, Any]) -> None:
    """Writes result.json; it appears under that name only when it is whole.

    Raises:
        UserError: the folder cannot be written.
    """
    path = directory / "result.json"
    temporary = path.with_suffix(".partial")
    try:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UserError(f"result {path} cannot be written ({error}); make room or choose another folder") from None


def last_line(result: dict[str, Any]) -> str:
    """The sentence that a run ends with."""
    counts = (
        f"{clock_text(result['seconds'])}, {result['episodes']} episodes, {result['env_steps']:,} env steps, "
        f"{result['gradient_steps']:,} gradient steps"
    )
    average = "none" if result["avg_reward"] is None else f"{result['avg_reward']:.2f}"
    reward = result["config"]["stop"]["reward"]
    if result["solved"]:
        line = f"SOLVED in {counts}: avg_reward {average} >= {reward:g}"
    else:
        line = f"NOT SOLVED ({result['stop_reason']}) after {counts}: avg_reward {average} of {reward:g}"
    confirmation = result["confirmation"]
    if confirmation:
        line += (
            f"; confirmation over {confirmation['episodes']} games: {confirmation['mean']:.2f} "
            f"+- {confirmation['std']:.2f}"
        )
        if result["solved"] and confirmation["mean"] < reward - CONFIRMATION_SLACK:
            line += " (the confirmation does not bear the stop out)"
    return line + f"; checkpoint {result['checkpoint']}"
