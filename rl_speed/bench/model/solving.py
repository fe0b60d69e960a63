"""Which runs of `--to-solve` count as solved, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from rl_speed.training.result import clock_text

LEAST_SEEDS = 3  # fewer bear no claim


def why_not_solved(run: dict[str, Any]) -> str | None:
    """The reason why a run does not count as solved; None if it does.

    It counts if its confirmation reaches the goal. Records from before training itself asked for that call a run solved
    by its training games alone.

    Args:
        run: an entry of bench.json's `solve`.
    """
    if "error" in run:
        return f"it failed: {run['error']}"
    goal, confirmation = run["stop_reward"], run["confirmation"]
    if goal is None:
        return "it has no goal (stop.reward is null)"
    if not run["solved"]:
        return _reached(run, goal)
    if confirmation is None:
        return "no confirmation was played"
    if confirmation["mean"] < goal:
        return f"its confirmation, {confirmation['mean']:.2f}, is below the goal of {goal:g}"
    return None


def _reached(run: dict[str, Any], goal: float) -> str:
    """How far a run got that does not call itself solved."""
    average = "no game ended" if run["avg_reward"] is None else f"it reached a mean of {run['avg_reward']:.2f}"
    text = f"{average} in {clock_text(run['seconds'])} ({run['stop_reason']})"
    failed = run.get("failed_confirmations") or []
    if failed:
        means = ", ".join(f"{confirmation['mean']:.2f}" for confirmation in failed)
        text += f"; confirmations below the goal of {goal:g}: {means}"
    return text


def by_name(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The runs of each rung."""
    return {name: [run for run in runs if run["name"] == name] for name in dict.fromkeys(run["name"] for run in runs)}


def time_to_solve(name: str, runs: Sequence[dict[str, Any]]) -> str:
    """With how many seeds a rung is solved, and when.

    Args:
        name: of the rung.
        runs: all of its runs.
    """
    solved = [run for run in runs if why_not_solved(run) is None]
    text = f"`{name}` with {len(solved)} of {len(runs)} seeds"
    if solved:
        seconds = sorted(run["seconds"] for run in solved)
        seeds = ", ".join(str(run["seed"]) for run in solved)
        text += (
            f" ({seeds}): median {clock_text(median(seconds))}, {clock_text(seconds[0])} to {clock_text(seconds[-1])}"
        )
    return text if len(runs) >= LEAST_SEEDS else f"{text}; fewer than {LEAST_SEEDS} seeds bear no claim"


def solving(runs: Sequence[dict[str, Any]]) -> str | None:
    """Time to solve of every rung, and why a run does not count; None without runs."""
    sentences = []
    for name, own in by_name(runs).items():
        sentences.append(f"{time_to_solve(name, own)}.")
        reasons = [(run["seed"], why_not_solved(run)) for run in own]
        sentences += [f"Seed {seed} does not count: {reason}." for seed, reason in reasons if reason is not None]
    return " ".join(sentences) or None
