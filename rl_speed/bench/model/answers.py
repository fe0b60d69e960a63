"""The questions that the bench was asked, answered in a sentence each from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from rl_speed.bench.model.rows import factor_between, find, speed, stage_milliseconds
from rl_speed.bench.model.solving import solving

NO_WAIT = 0.1  # less of the time than this is not worth another process
FULL_PERCENT = 80.0
STOPS_PAYING = 1.05  # a doubling that gains less than this does not pay


def autograd(rows: Sequence[dict[str, Any]]) -> str | None:
    """What autograd costs in acting and targets."""
    slow, base = find(rows, "slow_grads"), find(rows, "baseline")
    if slow is None or base is None:
        return None
    kept, free = slow["saved_for_backward_bytes"], base["saved_for_backward_bytes"]
    ratio = slow["samples_ratio_to_baseline"] or slow["ratio_to_baseline"]
    return (
        f"Left on in acting and targets: x {ratio:.2f} of `baseline`'s speed. One acted env step keeps "
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


def _busy(row: dict[str, Any]) -> str:
    shares = [f"{name} {row[key]:.0f} %" for name, key in (("CPU", "cpu_percent"), ("GPU", "gpu_percent")) if row[key]]
    return f"{' and '.join(shares)} busy" if shares else "utilisation unknown"


def envs_in_short(rows: Sequence[dict[str, Any]]) -> str | None:
    """Up to how many envs training gains, for the verdict."""
    points = _points(rows, "train")
    if len(points) < 2:
        return None
    best = stops_at([(row["point"]["envs"], speed(row)) for row in points])
    at = next(row for row in points if row["point"]["envs"] == best)
    return "do not pay" if at is points[0] else f"pay up to {best}: {factor_between(at, points[0])} over one"


def _points(rows: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The measured points of the sweep over envs, from few to many; `kind`: train or play."""
    points = [r for r in rows if r["group"] == "envs" and r["point"]["kind"] == kind and r["env_steps_per_second"]]
    return sorted(points, key=lambda row: int(row["point"]["envs"]))


def _envs_of(what: str, points: Sequence[dict[str, Any]]) -> str:
    """Up to how many envs more of them pay; `points` from few to many."""
    counts = [(row["point"]["envs"], speed(row)) for row in points]
    best = stops_at(counts)
    at = next(row for row in points if row["point"]["envs"] == best)
    start = f"{what}: more envs pay up to {best}"
    if at is points[0]:
        start += f" only ({_busy(at)})"
    else:
        start += f", {factor_between(at, points[0])} over one env ({_busy(at)}; with one env {_busy(points[0])})"
    return f"{start}; the last doubling, to {counts[-1][0]}, gave {factor_between(points[-1], points[-2])}."


def envs(rows: Sequence[dict[str, Any]]) -> str | None:
    """Do more envs help when CPU or GPU is already full?"""
    sentences = []
    for kind, what in (("train", "Training"), ("play", "Playing without learning")):
        points = _points(rows, kind)
        if len(points) > 1:
            sentences.append(_envs_of(what, points))
    return " ".join(sentences) or None


def _gain_of_networks(points: Sequence[dict[str, Any]]) -> float | None:
    """Median factor of several acting networks over one, at the same processes and envs; None without such a pair."""

    def place(row: dict[str, Any]) -> tuple[int, int]:
        return row["point"]["actors"], row["point"]["envs"]

    single = {place(row): speed(row) for row in points if row["point"]["networks"] == 1}
    several = [row for row in points if row["point"]["networks"] > 1 and place(row) in single]
    return median(speed(row) / single[place(row)] for row in several) if several else None


def actors(rows: Sequence[dict[str, Any]]) -> str | None:
    """Can many networks, envs and processes be combined?"""
    tried = [row for row in rows if row["group"] == "actors"]
    sentences = []
    for line in dict.fromkeys(row["point"]["line"] for row in tried):
        of_line = [row for row in tried if row["point"]["line"] == line]
        points = [row for row in of_line if row["env_steps_per_second"]]
        if len(points) < 2:
            continue
        best, first = max(points, key=speed), points[0]
        gain = _gain_of_networks(points)
        networks = "" if gain is None else f"; several acting networks at once run at x {gain:.2f} of one's speed"
        sentences.append(
            f"On `{line}` {len(points)} of {len(of_line)} combinations run; the best is {best['point']['actors']} x "
            f"{best['point']['envs']} envs with {best['point']['networks']} network(s), {factor_between(best, first)} "
            f"over {first['point']['actors']} x {first['point']['envs']}{networks}."
        )
    return " ".join(sentences) or None


def wrappers(rows: Sequence[dict[str, Any]]) -> str | None:
    """What each ingredient of the light wrappers is worth."""
    ingredients = [row for row in rows if row["group"] == "wrappers" and row["env_steps_per_second"]]
    reference = find(rows, "as n_envs", "wrappers")
    if reference is None or len(ingredients) < 2:
        return None
    before = stage_milliseconds(reference)
    parts = []
    for row in ingredients:
        if row is reference:
            continue
        after = stage_milliseconds(row)
        stage = max(after, key=lambda s: before.get(s, 0.0) - after[s])
        parts.append(
            f"{row['name']} {factor_between(row, reference)} ({stage} {before[stage]:.2f} -> "
            f"{after[stage]:.2f} ms per env step)"
        )
    return f"One at a time on `n_envs`: {'; '.join(parts)}."


def devices(rows: Sequence[dict[str, Any]]) -> str | None:
    """What several ranks, and several actors of one rank, gain on this machine, and what limits them."""
    sentences = [
        text
        for what, name in (("ranks", "ranks that share a run's work"), ("players", "actors of one rank"))
        if (text := _gain_of(what, name, [row for row in rows if row["group"] == "devices"]))
    ]
    return " ".join(sentences) or None


def _gain_of(what: str, name: str, rows: Sequence[dict[str, Any]]) -> str | None:
    points = [row for row in rows if what in row["point"] and row["env_steps_per_second"]]
    if len(points) < 2 or points[0]["point"][what] != 1:
        return None
    parts = []
    for row in points[1:]:
        count, factor = row["point"][what], speed(row) / speed(points[0])
        parts.append(f"{count} run at x {factor:.2f} of one (efficiency {100 * factor / count:.0f} %)")
    last = points[-1]
    return f"Of {name} on `{last['point']['line']}`, {', '.join(parts)}. {_what_limits(points, what)}"


def _what_limits(points: Sequence[dict[str, Any]], what: str) -> str:
    """Why the last of some points, from few to many, is not as many times faster."""
    first, last = points[0], points[-1]
    shares, cpu = last["time_shares"], first["cpu_percent"] or 0.0
    reduce, wait = shares.get("reduce", 0.0), first["time_shares"].get("wait", 0.0)
    if what == "players" and wait < NO_WAIT:
        return f"One actor is waited for {100 * wait:.0f} % of the time: more of them cannot help."
    if cpu >= FULL_PERCENT:
        told = f"; {100 * reduce:.0f} % of the time is the sum of gradients and waiting for it" if reduce else ""
        return f"One keeps the cores {cpu:.0f} % busy, so more of them share what there is{told}."
    if reduce >= NO_WAIT:
        return f"The sum of gradients, and waiting for each other, takes {100 * reduce:.0f} % of the time."
    return f"With {last['point'][what]} most of the learner's time goes to {_largest(shares)}."


def _largest(shares: dict[str, float]) -> str:
    name = max(shares, key=lambda stage: shares[stage])
    return f"{name}, {100 * shares[name]:.0f} %"


def peers(rows: Sequence[dict[str, Any]]) -> str | None:
    """The rung that learns from most samples per second beside every other program."""
    learners = [row for row in rows if row["group"] == "ladder" and row["samples_per_second"]]
    others = [row for row in rows if row["group"] == "peers" and row["samples_per_second"]]
    if not learners or not others:
        return None
    best = max(learners, key=lambda row: float(row["samples_per_second"]))
    parts = []
    for row in [best, *sorted(others, key=lambda row: -float(row["samples_per_second"]))]:
        factor = row["samples_ratio_to_baseline"]
        of_baseline = "" if factor is None else f" (x {factor:.2f} of `baseline`)"
        parts.append(f"`{row['name']}` from {row['samples_per_second']:,.0f}{of_baseline}")
    return f"In a second learns {', '.join(parts)} samples."


def answers(rows: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Every answer for which enough was measured, by the label of its question."""
    texts = {
        "Other programs": peers(rows),
        "Time to solve": solving(runs),
        "Autograd": autograd(rows),
        "More envs": envs(rows),
        "Processes and networks": actors(rows),
        "Light wrappers": wrappers(rows),
        "Devices": devices(rows),
    }
    return {label: text for label, text in texts.items() if text}
