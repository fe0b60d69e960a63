"""From raw measurements to one row per contestant: medians, spreads and ratios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isclose
from statistics import mean, median
from typing import Any

Measurement = dict[str, Any]  # name, group, repeat, and `result` or `error`

SAME_FACTOR = 0.02  # factors that differ by less are one: a window does not end with a gradient step
STAGE_ORDER = ("act", "env", "wait", "replay", "transfer", "update", "reduce", "other")


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Median, min and max; None of nothing."""
    return {"median": median(values), "min": min(values), "max": max(values)} if values else None


def per_second(result: dict[str, Any], count: str) -> float:
    """A count of the window per second."""
    return float(result[count]) / float(result["seconds"])


def _env_steps(result: dict[str, Any]) -> float:
    return per_second(result, "env_steps")


def _samples(result: dict[str, Any]) -> float | None:
    """Samples learned from per second; None where nothing is learned."""
    batch_size = result.get("batch_size")
    return per_second(result, "gradient_steps") * float(batch_size) if batch_size else None


def _median_of(results: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [result[name] for result in results if result.get(name) is not None]
    return median(values) if values else None


def _mean_shares(results: Sequence[dict[str, Any]], name: str) -> dict[str, float]:
    shares = [result[name] for result in results if result.get(name)]
    return {stage: mean(one[stage] for one in shares) for stage in shares[0]} if shares else {}


def _ratios(
    own: dict[int, dict[str, Any]], reference: dict[int, dict[str, Any]], of: Callable[[dict[str, Any]], float | None]
) -> dict[str, float] | None:
    """Ratio within each repeat, so that a machine that slows down in the meantime does not tilt it."""
    pairs = [(of(own[repeat]), of(reference[repeat])) for repeat in own if repeat in reference]
    return spread([value / base for value, base in pairs if value is not None and base])


def make_row(
    contestant: dict[str, Any], measurements: Sequence[Measurement], baseline: dict[int, dict[str, Any]]
) -> Any:
    """One row of bench.json.

    Args:
        contestant: name, group, about, point.
        measurements: all of its repeats.
        baseline: results of `baseline` by repeat.
    """
    by_repeat = {m["repeat"]: m["result"] for m in measurements if "result" in m}
    results = list(by_repeat.values())
    errors = [m["error"] for m in measurements if "error" in m]
    env_steps = spread([_env_steps(result) for result in results])
    samples = spread([value for value in map(_samples, results) if value is not None])
    batch_size = results[0].get("batch_size") if results else None
    # Only what was measured in turn with `baseline` is held against it.
    reference = baseline if contestant["group"] in ("ladder", "peers") else {}
    ratio, samples_ratio = (_ratios(by_repeat, reference, of) for of in (_env_steps, _samples))
    saved = next((r["saved_for_backward_bytes"] for r in results if "saved_for_backward_bytes" in r), None)
    return {
        **contestant,
        "repeats": len(results),
        "env_steps_per_second": env_steps,
        "frames_per_second": env_steps["median"] * results[0]["frame_skip"] if env_steps else None,
        "gradient_steps_per_second": samples["median"] / batch_size if samples and batch_size else None,
        "batch_size": batch_size,
        "samples_per_second": samples["median"] if samples else None,
        "samples_spread": samples,
        "samples_ratio_to_baseline": samples_ratio["median"] if samples_ratio else None,
        "samples_ratio_spread": samples_ratio,
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
    """All rows, in the order of the contestants; a row made earlier does for a contestant."""
    baseline = {
        m["repeat"]: m["result"]
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


def factor_text(samples: float | None, env_steps: float) -> str:
    """A factor in samples per second, and beside it in env steps per second where that is another one."""
    if samples is None:
        return f"x {env_steps:.2f} env steps/s"
    if isclose(samples, env_steps, rel_tol=SAME_FACTOR):
        return f"x {samples:.2f} samples/s"
    return f"x {samples:.2f} samples/s (x {env_steps:.2f} env steps/s)"


def factor_between(row: dict[str, Any], reference: dict[str, Any]) -> str:
    """A row's factor over another one, from their medians."""
    samples, base = row["samples_per_second"], reference["samples_per_second"]
    return factor_text(samples / base if samples and base else None, speed(row) / speed(reference))


def stage_milliseconds(row: dict[str, Any]) -> dict[str, float]:
    """The learner's milliseconds per env step, by stage."""
    return {stage: 1e3 * share / speed(row) for stage, share in row["time_shares"].items()}
