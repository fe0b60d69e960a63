"""From raw measurements to one row per contestant: medians, spreads and ratios."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median
from typing import Any

Measurement = dict[str, Any]  # name, group, repeat, and `result` or `error`

STAGE_ORDER = ("act", "env", "wait", "replay", "transfer", "update", "other")


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Median, min and max; None of nothing."""
    return {"median": median(values), "min": min(values), "max": max(values)} if values else None


def per_second(result: dict[str, Any], count: str) -> float:
    """A count of the window per second."""
    return float(result[count]) / float(result["seconds"])


def _median_of(results: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [result[name] for result in results if result.get(name) is not None]
    return median(values) if values else None


def _mean_shares(results: Sequence[dict[str, Any]], name: str) -> dict[str, float]:
    found = [result[name] for result in results if result.get(name)]
    return {stage: mean(shares[stage] for shares in found) for stage in found[0]} if found else {}


def _ratios(own: dict[int, float], reference: dict[int, float]) -> dict[str, float] | None:
    """Ratio within each repeat, so that a machine that slows down in the meantime does not tilt it."""
    return spread([own[repeat] / reference[repeat] for repeat in own if reference.get(repeat)])


def make_row(contestant: dict[str, Any], measurements: Sequence[Measurement], baseline: dict[int, float]) -> Any:
    """One row of bench.json.

    Args:
        contestant: name, group, about, point.
        measurements: all of its repeats.
        baseline: env steps per second of `baseline` by repeat.
    """
    results = [m["result"] for m in measurements if "result" in m]
    speeds = {m["repeat"]: per_second(m["result"], "env_steps") for m in measurements if "result" in m}
    errors = [m["error"] for m in measurements if "error" in m]
    env_steps = spread(list(speeds.values()))
    gradient_steps = median([per_second(r, "gradient_steps") for r in results]) if results else None
    batch_size = results[0].get("batch_size") if results else None
    # Only what was measured in turn with `baseline` is held against it.
    ratio = _ratios(speeds, baseline) if contestant["group"] in ("ladder", "peers") else None
    saved = next((r["saved_for_backward_bytes"] for r in results if "saved_for_backward_bytes" in r), None)
    return {
        **contestant,
        "repeats": len(results),
        "env_steps_per_second": env_steps,
        "frames_per_second": env_steps["median"] * results[0]["frame_skip"] if env_steps else None,
        "gradient_steps_per_second": gradient_steps if batch_size else None,
        "batch_size": batch_size,
        "samples_per_second": gradient_steps * batch_size if batch_size and gradient_steps is not None else None,
        "ratio_to_baseline": ratio["median"] if ratio else None,
        "ratio_spread": ratio,
        "cpu_percent": _median_of(results, "cpu_percent"),
        "gpu_percent": _median_of(results, "gpu_percent"),
        "peak_memory_bytes": _median_of(results, "peak_memory_bytes"),
        "gpu_memory_bytes": _median_of(results, "gpu_memory_bytes"),
        "time_shares": _mean_shares(results, "time_shares"),
        "actor_time_shares": _mean_shares(results, "actor_time_shares"),
        "saved_for_backward_bytes": saved,
        "startup_seconds": _median_of(results, "startup_seconds"),
        "prefill_env_steps_per_second": _median_of([r["prefill"] for r in results if r.get("prefill")], "speed"),
        "warmup_seconds": _median_of(results, "warmup_seconds"),
        "error": errors[0] if errors else None,
    }


def make_rows(contestants: Sequence[dict[str, Any]], measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """All rows, in the order of the contestants."""
    baseline = {
        m["repeat"]: per_second(m["result"], "env_steps")
        for m in measurements
        if m["name"] == "baseline" and m["group"] == "ladder" and "result" in m
    }
    rows = []
    for contestant in contestants:
        own = [m for m in measurements if (m["name"], m["group"]) == (contestant["name"], contestant["group"])]
        if own:
            rows.append(make_row(contestant, own, baseline))
    return rows


def find(rows: Sequence[dict[str, Any]], name: str, group: str = "ladder") -> dict[str, Any] | None:
    """The measured row of that name; None if there is none or it failed in all repeats."""
    for row in rows:
        if (row["name"], row["group"]) == (name, group) and row["env_steps_per_second"]:
            return row
    return None


def speed(row: dict[str, Any]) -> float:
    """Median env steps per second."""
    return float(row["env_steps_per_second"]["median"])


def stage_milliseconds(row: dict[str, Any]) -> dict[str, float]:
    """The learner's milliseconds per env step, by stage."""
    return {stage: 1e3 * share / speed(row) for stage, share in row["time_shares"].items()}
