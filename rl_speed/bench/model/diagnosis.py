"""What limits this machine, what helps and what does not: a verdict to be read in seconds, and the details below it.

A line of either is a label and a text; names of rungs and commands stand in backticks, which the renderers resolve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rl_speed.bench.model.answers import answers, envs_in_short
from rl_speed.bench.model.expectations import stages_add_up
from rl_speed.bench.model.rows import factor_text, find, speed, stage_milliseconds
from rl_speed.bench.model.solving import by_name, time_to_solve

# A stage that takes most of the time, in words.
WORDS = {
    "act": "acting (the network's forward pass before each env step)",
    "env": "the games",
    "wait": "waiting for the actor processes",
    "replay": "the replay (drawing and storing)",
    "transfer": "preparing and moving batches",
    "update": "the gradient steps",
    "reduce": "adding up the gradients of ranks, which wait for each other",
    "other": "Lightning and the callbacks",
}
PAYS = 1.1  # a factor from which a rung helps, if it is above 1 in every repeat

Line = dict[str, str]  # label, text


def _line(label: str, text: str | None) -> list[Line]:
    return [{"label": label, "text": text}] if text else []


def _factor(row: dict[str, Any]) -> tuple[float, float, float]:
    """Median, min and max of the factor over `baseline`, in samples per second."""
    ratios = row["samples_ratio_spread"] or row["ratio_spread"]
    return ratios["median"], ratios["min"], ratios["max"]


def _helps(row: dict[str, Any]) -> bool:
    median, least, _ = _factor(row)
    return median >= PAYS and least > 1.0


def _measured(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rungs of the ladder beside `baseline` that have a factor, the largest first."""
    others = [r for r in rows if r["group"] == "ladder" and r["name"] != "baseline" and r["ratio_spread"]]
    return sorted(others, key=lambda row: -_factor(row)[0])


def _busy(row: dict[str, Any]) -> str:
    shares = [f"{name} {row[key]:.0f} %" for name, key in (("CPU", "cpu_percent"), ("GPU", "gpu_percent")) if row[key]]
    return f"; {', '.join(shares)} busy" if shares else ""


def _top_stage(row: dict[str, Any]) -> tuple[str, float]:
    """The largest stage and its share of the learner's time."""
    stage = max(row["time_shares"], key=lambda name: row["time_shares"][name])
    return stage, row["time_shares"][stage]


def fastest(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The rung of the ladder that learns from most samples per second."""
    ladder = [row for row in rows if row["group"] == "ladder" and row["samples_per_second"]]
    return max(ladder, key=lambda row: float(row["samples_per_second"])) if ladder else None


def limit(row: dict[str, Any]) -> str:
    """The stage that limits a rung, with its share of the time."""
    stage, share = _top_stage(row)
    return f"{WORDS[stage]}: {100 * share:.0f} % of `{row['name']}`'s time{_busy(row)}"


def _short_factor(row: dict[str, Any]) -> str:
    """A rung with its factor; with the repeats' range where they do not agree that it pays."""
    median, least, most = _factor(row)
    is_mixed = median >= PAYS and least <= 1.0
    return f"`{row['name']}` x {median:.2f}" + (f" ({least:.2f} .. {most:.2f})" if is_mixed else "")


def verdict(rows: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> list[Line]:
    """What limits, what helps most, what does not help, more envs, and what was solved: a line each.

    Args:
        rows: of the bench.
        runs: of `--to-solve`.
    """
    reference = find(rows, "baseline")
    base = reference or fastest(rows)
    lines = _line("What limits", limit(base) if base is not None and base["time_shares"] else None)
    measured = _measured(rows)
    helpful = [row for row in measured if _helps(row)]
    useless = [row for row in measured if not _helps(row)]
    if helpful:
        best = helpful[0]
        factor = factor_text(best["samples_ratio_to_baseline"], best["ratio_to_baseline"])
        lines += _line("Helps most", f"`{best['name']}`: {factor}")
        if helpful[1:]:
            lines += _line("Helps too", f"{', '.join(map(_short_factor, helpful[1:]))} samples/s")
    elif measured:
        lines += _line("Helps most", "nothing that was measured")
    if useless:
        lines += _line("Does not help", f"{', '.join(map(_short_factor, useless))} samples/s")
    if reference is None and rows:
        has_failed = any(row["group"] == "ladder" and row["name"] == "baseline" for row in rows)
        why = "`baseline` has failed" if has_failed else "the rung `baseline` was not measured; add it to the rungs"
        lines += _line("What helps", f"not known: {why}")
    lines += _line("More envs", envs_in_short(rows))
    return lines + _line("Solved", "; ".join(time_to_solve(name, own) for name, own in by_name(runs).items()))


def _time_of(row: dict[str, Any]) -> str:
    """A rung's speed, where its time goes, and the most that could be won everywhere but in its largest stage."""
    parts = sorted(stage_milliseconds(row).items(), key=lambda item: -item[1])
    listed = ", ".join(f"{stage} {value:.2f} ms" for stage, value in parts if value > 0.005)
    stage, share = _top_stage(row)
    text = (
        f"`{row['name']}` learns from {row['samples_per_second']:,.0f} samples/s and makes {speed(row):,.1f} env "
        f"steps/s{_busy(row)}. An env step takes {listed}."
    )
    if share < 1:
        text += f" With everything but {WORDS[stage]} for nothing it would be x {1 / share:.2f} at most."
    return text


def _play_apart(reference: dict[str, Any], parallel: dict[str, Any], cores: int) -> str:
    """What a process of its own for the games can give, and what it gave."""
    milliseconds = stage_milliseconds(reference)
    played, total = milliseconds["act"] + milliseconds["env"], 1e3 / speed(reference)
    return (
        f"A process of its own for the games hides at most the {played:.2f} ms of acting and games in {total:.1f} ms "
        f"(x {total / max(total - played, 1e-9):.2f}), and only on cores that the gradient steps leave free. "
        f"`parallel` is x {_factor(parallel)[0]:.2f} on {cores}."
    )


def _how_far_off(expectations: Sequence[dict[str, Any]]) -> str:
    errors = [abs(e["error_percent"]) for e in expectations]
    worst = max(expectations, key=lambda e: abs(e["error_percent"]))
    return (
        f"Factors expected from `baseline`'s shares of time alone were off by {sum(errors) / len(errors):.0f} % on "
        f"average, by {max(errors):.0f} % at most (`{worst['name']}`)."
    )


def details(content: dict[str, Any]) -> list[Line]:
    """The numbers behind the verdict and the answers to single questions, each with its label.

    Args:
        content: of bench.json, with its rows.
    """
    rows, expectations = content["rows"], content["expectations"]
    reference, parallel, best = find(rows, "baseline"), find(rows, "parallel"), fastest(rows)
    lines = []
    if _measured(rows):
        lines += _line(
            "Helps or not",
            f"A factor is the median, over the repeats, of a rung's samples/s over `baseline`'s in the same repeat. A "
            f"rung helps from x {PAYS:g} on, if it is above x 1 in every repeat.",
        )
    if reference is not None and reference["time_shares"]:
        lines += _line("Baseline", _time_of(reference))
        if parallel is not None and stages_add_up(content["configs"]["baseline"]):
            lines += _line("Playing apart", _play_apart(reference, parallel, content["machine"]["cores"]))
    if best is not None and best["name"] != "baseline" and best["time_shares"]:
        stage, _ = _top_stage(best)
        lines += _line("Fastest", f"{_time_of(best)} What limits it: {WORDS[stage]}.")
    lines += _line("Expected", _how_far_off(expectations) if expectations else None)
    for label, text in answers(rows, content["solve"]).items():
        lines += _line(label, text)
    return lines


def with_diagnosis(content: dict[str, Any]) -> dict[str, Any]:
    """A bench's content with `verdict`, `details`, and the verdict as one text in `diagnosis`.

    Args:
        content: of bench.json, with rows, expectations, solve, configs and machine.
    """
    lines = verdict(content["rows"], content["solve"])
    text = " ".join(f"{line['label']}: {line['text']}." for line in lines)
    old = {name: value for name, value in content.items() if name != "answers"}  # as `details` was called
    return {**old, "verdict": lines, "details": details(content), "diagnosis": text}
