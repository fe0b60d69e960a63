"""What a run leaves behind for people and machines: its last line and result.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_speed.system.errors import UserError
from rl_speed.system.json_file import write_whole
from rl_speed.system.machine import machine, versions
from rl_speed.training.plan import Plan
from rl_speed.training.speed import SpeedMeter
from rl_speed.training.statistics import EpisodeStatistics

CONFIRMATION_SLACK = 0.5  # a confirmation this far below the goal does not bear the stop out


def clock_text(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


@dataclass(frozen=True)
class Counts:
    """How far a run got."""

    seconds: float  # wall time, the confirmation not included
    env_steps: int
    gradient_steps: int


def make_result(
    plan: Plan,
    preset: str,
    stop_reason: str,
    counts: Counts,
    statistics: EpisodeStatistics,
    meter: SpeedMeter,
    checkpoint: Path | None,
) -> dict[str, Any]:
    """What result.json holds; docs/metrics.md explains each entry.

    Args:
        plan: the run.
        preset: its name.
        stop_reason: solved, interrupted, or the limit that was reached.
        counts: how far it got.
        statistics: finished games.
        meter: speeds and time shares.
        checkpoint: the last one, if any.
    """
    return {
        "solved": stop_reason == "solved",
        "stop_reason": stop_reason,
        "seconds": round(counts.seconds, 3),
        "env_steps": counts.env_steps,
        "frames": counts.env_steps * plan.config.envs.frame_skip,
        "gradient_steps": counts.gradient_steps,
        "episodes": statistics.episodes,
        "avg_reward": statistics.average_return,
        "clocks": statistics.clocks,
        "env_steps_per_second": {
            "prefill": meter.prefill_env_steps_per_second(),
            "steady": meter.steady_env_steps_per_second(),
        },
        "gradient_steps_per_second": meter.steady_gradient_steps_per_second(),
        "time_shares": meter.time_shares(),
        "actor_time_shares": meter.actor_time_shares(),
        "confirmation": None,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "config": plan.asked.model_dump(mode="json"),
        "plan": plan.summary(),
        "preset": preset,
        "seed": plan.asked.seed,
        "versions": versions(),
        "machine": machine(),
    }


def write_result(directory: Path, result: dict[str, Any]) -> None:
    """Writes result.json; it appears under that name only when it is whole.

    Raises:
        UserError: the folder cannot be written.
    """
    path = directory / "result.json"
    try:
        write_whole(path, result)
    except OSError as error:
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
