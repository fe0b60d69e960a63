"""The rows of a bench as tables of text: for the terminal, for Markdown and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from rl_speed.training.result import clock_text

TITLES = {
    "ladder": "The ladder",
    "peers": "Others on the same work",
    "env_only": "Games alone, random actions",
    "envs": "More envs",
    "actors": "Processes x envs x networks",
    "wrappers": "Light wrappers, one at a time",
}
HEADER = (
    "", "env steps/s", "min .. max", "frames/s", "gradient steps/s", "samples/s", "x baseline", "CPU %", "GPU %",
    "memory", "before the window", "where the time goes",
)  # fmt: skip


def number(value: float | None, digits: int = 1) -> str:
    """A number with thousands apart; a dash for what was not measured."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.{digits}f}"


def shares_text(row: dict[str, Any]) -> str:
    """The stages that matter, largest first."""
    shares = sorted(row["time_shares"].items(), key=lambda item: -item[1])
    text = ", ".join(f"{stage} {100 * share:.0f} %" for stage, share in shares if share >= 0.015)
    actors = row["actor_time_shares"]
    if actors:
        text += f"; actors: {', '.join(f'{stage} {100 * share:.0f} %' for stage, share in actors.items())}"
    return text


def before_text(row: dict[str, Any]) -> str:
    """What is not in the window: start-up, prefill and warm-up."""
    parts = []
    if row["startup_seconds"] is not None:
        parts.append(f"start {row['startup_seconds']:.1f} s")
    if row["prefill_env_steps_per_second"] is not None:
        parts.append(f"prefill {number(row['prefill_env_steps_per_second'], 0)}/s")
    if row["warmup_seconds"] is not None:
        parts.append(f"warm-up {row['warmup_seconds']:.1f} s")
    return ", ".join(parts) or "-"


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table, as text."""
    speeds = row["env_steps_per_second"]
    if speeds is None:
        return [row["name"], "failed", *["-"] * 9, row["error"] or ""]
    memory = row["peak_memory_bytes"]
    return [
        row["name"],
        number(speeds["median"]),
        f"{number(speeds['min'])} .. {number(speeds['max'])}",
        number(row["frames_per_second"], 0),
        number(row["gradient_steps_per_second"]),
        number(row["samples_per_second"], 0),
        number(row["ratio_to_baseline"], 2),
        number(row["cpu_percent"], 0),
        number(row["gpu_percent"], 0),
        "-" if memory is None else f"{memory / 1e9:.2f} GB",
        before_text(row),
        shares_text(row) + (f"; failed in one repeat: {row['error']}" if row["error"] else ""),
    ]


def groups(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by group, in the order of `TITLES`."""
    found = {group: [row for row in rows if row["group"] == group] for group in TITLES}
    return {group: own for group, own in found.items() if own}


# Columns for a terminal of 80: spread, frames and the like are in the files.
NARROW = {1: "env steps/s", 4: "grad/s", 5: "samples/s", 6: "x base", 7: "CPU %", 8: "GPU %", 9: "memory"}


def terminal_tables(content: dict[str, Any]) -> list[Table]:
    """The tables for the terminal: speeds, and below each where the time goes."""
    tables = []
    for group, rows in groups(content["rows"]).items():
        lines = [[escape(text) for text in cells(row)] for row in rows]
        shown = [place for place in NARROW if place < 2 or any(line[place] != "-" for line in lines)]
        table = Table(title=TITLES[group], title_justify="left")
        table.add_column("")
        for place in shown:
            table.add_column(NARROW[place], justify="right", no_wrap=True)
        for line in lines:
            table.add_row(line[0], *(line[place] for place in shown))
        tables.append(table)
        if any(line[-1] for line in lines):
            times = Table("", HEADER[-1], show_header=True)
            for line in lines:
                times.add_row(line[0], line[-1])
            tables.append(times)
    return tables


def solve_lines(content: dict[str, Any]) -> list[list[str]]:
    """One line per run of `--to-solve`: name, seed, the three clocks, mean reached, confirmation."""
    lines = []
    for run in content["solve"]:
        if "error" in run:
            lines.append([run["name"], str(run["seed"]), "-", "-", "-", "-", run["error"]])
            continue
        clocks = [run["clocks"][name] for name in ("mean100_18", "ema_17", "mean100_19_5")]
        confirmation = run["confirmation"]
        lines.append(
            [
                run["name"],
                str(run["seed"]),
                *("-" if clock is None else clock_text(clock["seconds"]) for clock in clocks),
                "-" if run["avg_reward"] is None else f"{run['avg_reward']:.2f} ({run['stop_reason']})",
                f"{confirmation['mean']:.2f} +- {confirmation['std']:.2f}" if confirmation else "-",
            ]
        )
    return lines


SOLVE_HEADER = ("rung", "seed", "mean of 100 >= 18", "exponential mean >= 17", "mean of 100 >= 19.5", "at the end",
                "confirmation")  # fmt: skip


def expectation_lines(content: dict[str, Any]) -> list[list[str]]:
    """One line per rung: expected and measured factor, and the error."""
    return [
        [e["name"], f"{e['expected']:.2f}", f"{e['measured']:.2f}", f"{e['error_percent']:+.0f} %", e["limited_by"]]
        for e in content["expectations"]
    ]


EXPECTATION_HEADER = ("rung", "expected x", "measured x", "error", "limited by")


def setting_line(content: dict[str, Any]) -> str:
    """Machine, versions, commit, date and command in a sentence."""
    found, version = content["machine"], content["versions"]
    gpus = ", ".join(found["gpus"]) or "no GPU"
    return (
        f"{found['cores']} cores of {found['processor']}, {found['memory_bytes'] / 1e9:.0f} GB, {gpus}; Python "
        f"{version['python']}, torch {version['torch']}, ale-py {version['ale-py']}; commit {content['commit']}, "
        f"{content['date'][:10]}; `{content['command']}`"
    )
