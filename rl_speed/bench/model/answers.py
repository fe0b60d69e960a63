"""The questions that the bench was asked, answered in a sentence each from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from rl_speed.bench.model.rows import find, speed, stage_milliseconds
from rl_speed.training.result import clock_text

STOPS_PAYING = 1.05  # a doubling that gains less than this does not pay
# Time to solve of rungs too slow to be run: readers of the book's chapter saw about 300 env steps/s for 50 minutes.
SOLVE_ENV_STEPS = 900_000
LEAST_SEEDS = 3


def autograd(rows: Sequence[dict[str, Any]]) -> str | None:
    """What autograd costs in acting and targets."""
    slow, base = find(rows, "slow_grads"), find(rows, "baseline")
    if slow is None or base is None:
        return None
    kept, free = slow["saved_for_backward_bytes"], base["saved_for_backward_bytes"]
    ratio = slow["ratio_to_baseline"]
    return (
        f"Autograd left on in acting and targets: x {ratio:.2f} of `baseline`'s speed; one acted env step keeps "
        f"{kept['act'] / 1e6:.2f} MB for a backward pass that never comes (without: {free['act'] / 1e6:.2f}), one "
        f"gradient step {kept['update'] / 1e6:.1f} MB (without: {free['update'] / 1e6:.1f}), of which the target's "
        f"graph is {(kept['update'] - free['update']) / 1e6:.1f} MB."
    )


def stops_at(points: Sequence[tuple[int, float]]) -> int:
    """The count after which no larger one was `STOPS_PAYING` times as fast any more."""
    best, best_speed = points[0]
    for count, speed_there in points[1:]:
        if speed_there >= best_speed * STOPS_PAYING:
            best, best_speed = count, speed_there
    return best


def envs(rows: Sequence[dict[str, Any]]) -> str | None:
    """Do more envs help when CPU or GPU is already full?"""
    text = []
    for kind, what in (("train", "Training"), ("play", "Playing without learning")):
        found = [r for r in rows if r["group"] == "envs" and r["point"]["kind"] == kind and r["env_steps_per_second"]]
        found.sort(key=lambda row: row["point"]["envs"])
        if len(found) < 2:
            continue
        points = [(row["point"]["envs"], speed(row)) for row in found]
        best = stops_at(points)
        at = next(row for row in found if row["point"]["envs"] == best)
        gain = speed(at) / points[0][1]
        busy = [f"CPU {at['cpu_percent']:.0f} %"] if at["cpu_percent"] is not None else []
        busy += [f"GPU {at['gpu_percent']:.0f} %"] if at["gpu_percent"] is not None else []
        first = f" (CPU {found[0]['cpu_percent']:.0f} % with one env)" if found[0]["cpu_percent"] is not None else ""
        text.append(
            f"{what}: more envs pay up to {best}, where it is x {gain:.2f} of one env's speed with "
            f"{' and '.join(busy) or 'utilisation unknown'} busy{first}; the last doubling, to {points[-1][0]}, gave "
            f"x {points[-1][1] / points[-2][1]:.2f}."
        )
    return " ".join(text) or None


def actors(rows: Sequence[dict[str, Any]]) -> str | None:
    """Can many networks, envs and processes be combined?"""
    found = [row for row in rows if row["group"] == "actors" and row["env_steps_per_second"]]
    text = []
    for line in dict.fromkeys(row["point"]["line"] for row in found):
        own = [row for row in found if row["point"]["line"] == line]
        every = [row for row in rows if row["group"] == "actors" and row["point"]["line"] == line]
        if len(own) < 2:
            continue
        best, first = max(own, key=speed), own[0]
        point = best["point"]
        several = [row for row in own if row["point"]["networks"] > 1]
        networks = ""
        pairs = []
        for row in several:
            twin = [
                r
                for r in own
                if r["point"]["networks"] == 1
                and (r["point"]["actors"], r["point"]["envs"]) == (row["point"]["actors"], row["point"]["envs"])
            ]
            pairs += [speed(row) / speed(twin[0])] if twin else []
        if pairs:
            networks = f"; several acting networks at once run at x {median(pairs):.2f} of one's speed"
        gain = speed(best) / speed(first)
        start = f"{first['point']['actors']} x {first['point']['envs']}"
        text.append(
            f"On `{line}` {len(own)} of {len(every)} combinations run; the best is {point['actors']} x "
            f"{point['envs']} envs with {point['networks']} network(s), x {gain:.2f} of {start}{networks}."
        )
    return " ".join(text) or None


def wrappers(rows: Sequence[dict[str, Any]]) -> str | None:
    """What each ingredient of the light wrappers is worth."""
    found = [row for row in rows if row["group"] == "wrappers" and row["env_steps_per_second"]]
    reference = find(rows, "as n_envs", "wrappers")
    if reference is None or len(found) < 2:
        return None
    before = stage_milliseconds(reference)
    parts = []
    for row in found:
        if row is reference:
            continue
        after = stage_milliseconds(row)
        stage = max(after, key=lambda s: before.get(s, 0.0) - after[s])
        parts.append(
            f"{row['name']} x {speed(row) / speed(reference):.2f} ({stage} {before[stage]:.2f} -> "
            f"{after[stage]:.2f} ms per env step)"
        )
    return f"Light wrappers, one at a time on `n_envs`: {'; '.join(parts)}."


def peers(rows: Sequence[dict[str, Any]]) -> str | None:
    """The fastest learner against baseline and peers, in samples."""
    learners = [row for row in rows if row["group"] == "ladder" and row["samples_per_second"]]
    others = [row for row in rows if row["group"] == "peers" and row["samples_per_second"]]
    base = find(rows, "baseline")
    others += [base] if base is not None else []
    if not learners or not others:
        return None
    best = max(learners, key=lambda row: row["samples_per_second"])
    listed = ", ".join(
        f"x {best['samples_per_second'] / row['samples_per_second']:.1f} of `{row['name']}`"
        for row in others
        if row is not best
    )
    return f"`{best['name']}` learns from {best['samples_per_second']:,.0f} samples/s: {listed}." if listed else None


def solved(rows: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]], game: str = "pong") -> str | None:
    """Time to solve, and what `baseline` would need (for Pong)."""
    text = []
    fast = None
    for name in dict.fromkeys(run["name"] for run in runs):
        own = [run for run in runs if run["name"] == name]
        ended = [run for run in own if run.get("solved")]
        if ended:
            seconds = sorted(run["seconds"] for run in ended)
            middle = median(seconds)
            fast = min(fast, middle) if fast else middle
            seeds = ", ".join(str(run["seed"]) for run in ended)
            text.append(
                f"`{name}` solved with {len(ended)} of {len(own)} seeds ({seeds}): median {clock_text(middle)}, "
                f"{clock_text(seconds[0])} to {clock_text(seconds[-1])}."
            )
            if len(own) < LEAST_SEEDS:
                text.append(f"Fewer than {LEAST_SEEDS} seeds: no claim should rest on it.")
        for run in own:
            if "error" in run:
                text.append(f"`{name}` seed {run['seed']} failed: {run['error']}.")
            elif not run["solved"]:
                reached = "no game ended" if run["avg_reward"] is None else f"reached {run['avg_reward']:.2f}"
                text.append(f"`{name}` seed {run['seed']} did not solve in {clock_text(run['seconds'])}: {reached}.")
            elif run["confirmation"] and run["confirmation"]["mean"] < run["stop_reward"]:
                text.append(
                    f"The confirmation of `{name}` seed {run['seed']} ({run['confirmation']['mean']:.2f}) does not "
                    f"bear the stop out."
                )
    base = find(rows, "baseline")
    if base is not None and fast is not None and game == "pong":
        needed = SOLVE_ENV_STEPS / speed(base)
        text.append(
            f"`baseline` would need {clock_text(needed)}, x {needed / fast:.0f}: extrapolated, {SOLVE_ENV_STEPS:,} env "
            f"steps at its measured speed."
        )
    return " ".join(text) or None


def answers(rows: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]], game: str = "pong") -> dict[str, str]:
    """All that can be said."""
    found = {
        "autograd": autograd(rows),
        "envs": envs(rows),
        "actors": actors(rows),
        "wrappers": wrappers(rows),
        "peers": peers(rows),
        "solve": solved(rows, runs, game),
    }
    return {name: text for name, text in found.items() if text}
