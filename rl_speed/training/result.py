"""What a run leaves behind for people and machines: its last line and result.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_speed.system.commit import commit
from rl_speed.system.errors import UserError
from rl_speed.system.json_file import write_whole
from rl_speed.system.machine import machine, versions
from rl_speed.training.plan import Plan
from rl_speed.training.speed import SpeedMeter
from rl_speed.training.statistics import EpisodeStatistics

RESULT_FILE = "result.json"


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


@dataclass(frozen=True)
class Judgement:
    """How a run ended.

    Attributes:
        stop_reason: solved, not_confirmed, diverged, interrupted, or the limit that was reached.
        confirmation: the games that bore the goal out; None without.
        failed_confirmations: the games that did not, earlier ones first.
    """

    stop_reason: str
    confirmation: dict[str, Any] | None
    failed_confirmations: list[dict[str, Any]]


def make_result(
    plan: Plan,
    preset: str,
    judgement: Judgement,
    counts: Counts,
    statistics: EpisodeStatistics,
    meter: SpeedMeter,
    checkpoint: Path | None,
) -> dict[str, Any]:
    """What result.json holds; docs/metrics.md explains each entry.

    Args:
        plan: the run.
        preset: its name.
        judgement: how it ended.
        counts: how far it got.
        statistics: finished games.
        meter: speeds and time shares.
        checkpoint: the last one, if any.
    """
    return {
        "solved": judgement.stop_reason == "solved",
        "stop_reason": judgement.stop_reason,
        "seconds": round(counts.seconds, 3),
        "env_steps": counts.env_steps,
        "frames": counts.env_steps * plan.config.envs.frames_per_env_step,
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
        "confirmation": judgement.confirmation,
        "failed_confirmations": judgement.failed_confirmations,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "config": plan.asked.model_dump(mode="json"),
        "plan": plan.summary(),
        "preset": preset,
        "seed": plan.asked.seed,
        "versions": versions(),
        "commit": commit(),
        "machine": machine(),
    }


def write_result(directory: Path, result: dict[str, Any]) -> None:
    """Writes result.json; it appears under that name only when it is whole.

    Raises:
        UserError: the folder cannot be written.
    """
    path = directory / RESULT_FILE
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
    goal = result["config"]["stop"]["reward"]
    if result["solved"]:
        line = f"SOLVED in {counts}: avg_reward {average} >= {goal:g}"
    elif goal is None:
        line = f"ENDED ({result['stop_reason']}) after {counts}: avg_reward {average}"
    else:
        line = f"NOT SOLVED ({result['stop_reason']}) after {counts}: avg_reward {average} of {goal:g}"
    if games := result["confirmation"]:
        line += f"; confirmation over {games['episodes']} games: {games['mean']:.2f} +- {games['std']:.2f}"
    if failed := result["failed_confirmations"]:
        means = ", ".join(f"{games['mean']:.2f}" for games in failed)
        line += f"; below the goal were the confirmations {means}"
    return line + f"; checkpoint {result['checkpoint']}"
