"""The numbers of a bench as tables of text, the same for the terminal, for Markdown and for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rl_speed.bench.model.rows import find
from rl_speed.bench.model.solving import why_not_solved
from rl_speed.report.tables import NOTHING, TextTable, number
from rl_speed.training.result import clock_text

TITLES = {
    "ladder": "The ladder",
    "peers": "Others on the same work",
    "env_only": "Games alone, random actions",
    "envs": "More envs",
    "actors": "Processes x envs x networks",
    "wrappers": "Light wrappers, one at a time",
    "devices": "Ranks that learn together, and actors of one rank",
}


# A header, and a row's cell below it.
Column = tuple[str, Callable[[dict[str, Any]], str]]


def _with_spread(spread: dict[str, float] | None, digits: int) -> str:
    if spread is None:
        return NOTHING
    median, least, most = (number(spread[name], digits) for name in ("median", "min", "max"))
    return median if least == most else f"{median} ({least} .. {most})"


def _gigabytes(count: float | None) -> str:
    return NOTHING if count is None else f"{count / 1e9:.2f} GB"


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f} s"


def shares_text(shares: dict[str, float]) -> str:
    """The stages that matter, largest first."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{stage} {100 * share:.0f} %" for stage, share in ordered if share >= 0.015) or NOTHING


SPEEDS: tuple[Column, ...] = (
    ("samples/s (min .. max)", lambda row: _with_spread(row["samples_spread"], 0)),
    ("x baseline, samples", lambda row: number(row["samples_ratio_to_baseline"], 2)),
    ("env steps/s (min .. max)", lambda row: _with_spread(row["env_steps_per_second"], 1)),
    ("x baseline, env steps", lambda row: number(row["ratio_to_baseline"], 2)),
    ("gradient steps/s", lambda row: number(row["gradient_steps_per_second"])),
    ("CPU %", lambda row: number(row["cpu_percent"], 0)),
    ("GPU %", lambda row: number(row["gpu_percent"], 0)),
    ("memory", lambda row: _gigabytes(row["peak_memory_bytes"])),
)
# For a terminal of 80 columns: spreads, frames, what came before the window are in the files.
SHORT_SPEEDS: tuple[Column, ...] = (
    ("samples/s", lambda row: number(row["samples_per_second"], 0)),
    ("x base", lambda row: number(row["samples_ratio_to_baseline"], 2)),
    ("env steps/s", lambda row: number(row["env_steps_per_second"]["median"])),
    ("x base", lambda row: number(row["ratio_to_baseline"], 2)),
    *SPEEDS[5:],
)
TIMES: tuple[Column, ...] = (
    ("the learner's time", lambda row: shares_text(row["time_shares"])),
    ("the actors' time", lambda row: shares_text(row["actor_time_shares"])),
    ("frames/s", lambda row: number(row["frames_per_second"], 0)),
    ("start-up", lambda row: _seconds(row["startup_seconds"])),
    ("prefill, env steps/s", lambda row: number(row["prefill_env_steps_per_second"], 0)),
    ("warm-up", lambda row: _seconds(row["warmup_seconds"])),
)
SHORT_TIMES = TIMES[:2]


def row_table(title: str, rows: Sequence[dict[str, Any]], columns: Sequence[Column], notes: list[str]) -> TextTable:
    """Rows in columns; columns without a value are left out, a row that failed has none.

    Args:
        title: above it.
        rows: of the bench.
        columns: beside the name.
        notes: below it.
    """
    measured = [row for row in rows if row["env_steps_per_second"]]
    texts = [[text(row) for row in measured] for _, text in columns]
    shown = [place for place, cells in enumerate(texts) if any(cell != NOTHING for cell in cells)]
    lines = {row["name"]: [texts[place][number] for place in shown] for number, row in enumerate(measured)}
    failed = ["failed", *[NOTHING] * (len(shown) - 1)] if shown else ["failed"]
    header = ["name", *(columns[place][0] for place in shown)] if shown else ["name", ""]
    return TextTable(title, header, [[row["name"], *lines.get(row["name"], failed)] for row in rows], notes)


def groups(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by group, in the order of `TITLES`."""
    by_group = {group: [row for row in rows if row["group"] == group] for group in TITLES}
    return {group: own for group, own in by_group.items() if own}


def row_notes(group: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """What failed, and what peers and games alone are, with version and licence."""
    notes = []
    for row in rows:
        if row["error"]:
            how = "failed in one repeat" if row["env_steps_per_second"] else "failed"
            notes.append(f"`{row['name']}` {how}: {row['error']}")
        if group in ("peers", "env_only"):
            facts = row["package"]
            licence = f" ({facts['package']} {facts['version']}, licence {facts['licence']})" if facts else ""
            notes.append(f"`{row['name']}`: {row['about']}{licence}")
    return notes


def speed_tables(content: dict[str, Any], columns: Sequence[Column] = SPEEDS) -> list[TextTable]:
    """How fast: one table for each group of rows."""
    by_group = groups(content["rows"])
    return [row_table(TITLES[group], rows, columns, row_notes(group, rows)) for group, rows in by_group.items()]


def time_tables(content: dict[str, Any], columns: Sequence[Column] = TIMES) -> list[TextTable]:
    """Where the time goes, and what came before the window, of the rows of which it is known."""
    tables = []
    for group, rows in groups(content["rows"]).items():
        known = [row for row in rows if any(text(row) != NOTHING for _, text in columns)]
        if known:
            tables.append(replace(row_table(f"{TITLES[group]}: time", known, columns, []), kind="words"))
    return tables


def _confirmations(run: dict[str, Any]) -> str:
    """All of a run, in their order."""
    played = [*(run.get("failed_confirmations") or []), *([run["confirmation"]] if run["confirmation"] else [])]
    return "; ".join(f"{one['mean']:.2f} +- {one['std']:.2f}" for one in played) or NOTHING


SOLVE_HEADER = ["name", "seed", "solved after", "mean >= 18", "ema >= 17", "mean >= 19.5",
                "last mean", "confirmation"]  # fmt: skip


def _solve_line(run: dict[str, Any]) -> list[str]:
    if "error" in run:
        return [run["name"], str(run["seed"]), "failed", *[NOTHING] * 5]
    clocks = [run["clocks"][name] for name in ("mean100_18", "ema_17", "mean100_19_5")]
    return [
        run["name"],
        str(run["seed"]),
        clock_text(run["seconds"]) if why_not_solved(run) is None else "not solved",
        *(NOTHING if clock is None else clock_text(clock["seconds"]) for clock in clocks),
        number(run["avg_reward"], 2),
        _confirmations(run),
    ]


def solve_tables(content: dict[str, Any]) -> list[TextTable]:
    """The runs of `--to-solve`: when they count as solved, three clocks, and the confirmations."""
    runs = content["solve"]
    reasons = [(run, why_not_solved(run)) for run in runs]
    notes = [f"`{run['name']}`, seed {run['seed']}, does not count: {reason}" for run, reason in reasons if reason]
    return [TextTable("Time to solve", SOLVE_HEADER, [_solve_line(run) for run in runs], notes)] if runs else []


def expectation_factors(content: dict[str, Any]) -> list[tuple[dict[str, Any], float, float]]:
    """Each expectation with its expected and measured factor over `baseline` in samples per second.

    They are made in env steps; what a rung learns from an env step is a constant of it.
    """
    factors = []
    for expectation in content["expectations"]:
        row = find(content["rows"], expectation["name"])
        measured = row["samples_ratio_to_baseline"] if row is not None else None
        samples = expectation["measured"] if measured is None else measured
        factors.append((expectation, expectation["expected"] * samples / expectation["measured"], samples))
    return factors


def expectation_tables(content: dict[str, Any]) -> list[TextTable]:
    """Expected and measured factor of each rung, and the error."""
    header = ["name", "expected x, samples", "measured x, samples", "error", "limited by"]
    lines = [
        [e["name"], f"{expected:.2f}", f"{measured:.2f}", f"{e['error_percent']:+.0f} %", e["limited_by"]]
        for e, expected, measured in expectation_factors(content)
    ]
    return [TextTable("Expected and measured", header, lines, [], "words")] if lines else []


def setting_line(content: dict[str, Any]) -> str:
    """Machine, versions, commit, date and command in a sentence."""
    machine, version = content["machine"], content["versions"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    return (
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_bytes'] / 1e9:.0f} GB, {gpus}; Python "
        f"{version['python']}, torch {version['torch']}, ale-py {version['ale-py']}; commit {content['commit']}, "
        f"{content['date'][:10]}; `{content['command']}`"
    )
