"""The tables of a suite's report, and its CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from rl_speed.report.tables import NOTHING, TextTable, number
from rl_speed.suite.estimates import CONFIDENCE, METRICS, Estimate
from rl_speed.suite.reference import human_normalised
from rl_speed.suite.scores import Scores
from rl_speed.suite.summary import Summary
from rl_speed.training.result import clock_text

_INTERVAL = f"{100 * CONFIDENCE:g} % interval in brackets"


def estimate_text(estimate: Estimate | None, digits: int = 2) -> str:
    """A number with its interval, if there is one."""
    if estimate is None:
        return NOTHING
    value = number(estimate.value, digits)
    if estimate.low is None:
        return value
    return f"{value} ({number(estimate.low, digits)} .. {number(estimate.high, digits)})"


def aggregate_table(scores: Scores, summary: Summary) -> TextTable:
    """One line per preset."""
    lines = [
        [
            preset,
            str(len(scores.whole_seeds(preset))),
            *(estimate_text(estimates[metric]) for metric in METRICS),
        ]
        for preset, estimates in summary.aggregates.items()
    ]
    games = len(scores.ranked_games)
    over = f"{games} game{'' if games == 1 else 's'}"
    about = f"Over {over}; 0 is random play, 1 the human tester; {_INTERVAL}, bootstrapped."
    return TextTable("Human-normalised scores", ["preset", "seeds", *METRICS], lines, [about, *summary.notes])


def improvement_table(summary: Summary) -> TextTable:
    """One line per two presets."""
    lines = [[row.first, row.second, estimate_text(row.estimate)] for row in summary.improvements]
    note = f"A run of the first scores higher than one of the second on the same game; {_INTERVAL}, bootstrapped."
    return TextTable("Probability of improvement", ["preset", "over", "probability"], lines, [note])


def game_table(summary: Summary) -> TextTable:
    """One line per game and preset."""
    lines = [
        [row.game, row.preset, str(row.seeds), estimate_text(row.raw, 1), estimate_text(row.normalised)]
        for row in summary.games
    ]
    note = f"Mean over the finished seeds; {_INTERVAL}, by Student's t over these seeds."
    return TextTable("Games", ["game", "preset", "seeds", "mean return", "human-normalised"], lines, [note])


def trouble_table(scores: Scores) -> TextTable:
    """Every run that has failed or is missing."""
    failed = [[str(key), "failed", sentence] for key, sentence in sorted(scores.failed.items())]
    missing = [[str(key), "missing", "not finished yet"] for key in sorted(scores.missing)]
    return TextTable("Failed and missing runs", ["run", "", "why"], failed + missing, [], "words")


def tables(scores: Scores, summary: Summary) -> list[TextTable]:
    """All tables that have a line."""
    every = [aggregate_table(scores, summary), improvement_table(summary), game_table(summary), trouble_table(scores)]
    if not summary.aggregates:  # its notes say why it is empty
        lines = [[preset, NOTHING] for preset in scores.plan.presets]
        every[0] = TextTable(every[0].title, ["preset", METRICS[0]], lines, summary.notes)
    return [table for table in every if table.lines]


def protocol_lines(facts: dict[str, Any], scores: Scores) -> list[dict[str, str]]:
    """What was done, with what, and how far it is, as labels and texts."""
    plan = scores.plan
    runs = list(scores.finished.values())
    limits = [f"{plan.env_steps:,} env steps"] if plan.env_steps else []
    limits += [f"{clock_text(plan.max_seconds)} of wall time"] if plan.max_seconds else []
    changes = f"; with {' '.join(f'`{text}`' for text in plan.overrides)}" if plan.overrides else ""
    lines = {
        "Runs": f"{len(runs)} finished, {len(scores.failed)} failed, {len(scores.missing)} missing, of "
        f"{len(plan.games)} games x {len(plan.seeds)} seeds x {len(plan.presets)} presets",
        "Training": f"{' or '.join(limits)} each, whatever is reached sooner and whatever the score{changes}",
        "Evaluation": f"{plan.episodes} full games with the last network, raw returns, on ale-py, epsilon "
        f"{plan.epsilon:g}, sticky actions {_all_of(_sticky(run) for run in runs)}, "
        f"{_all_of(_noops(run) for run in runs)} no-ops at the start, games of "
        f"{_all_of(str(run['evaluation']['max_episode_frames']) for run in runs)} frames at most, actions "
        f"{_all_of(_actions(run) for run in runs)}",
        "Machine": _all_of(_machine(run["machine"]) for run in runs) if runs else _machine(facts["machine"]),
        "Cores of a run": _all_of(run["cores"] for run in runs),
        "Versions": _all_of(_versions(run) for run in runs) if runs else _versions(facts),
        "Started": str(facts["started"]),
    }
    return [{"label": label, "text": text} for label, text in lines.items()]


def _all_of(texts: Any) -> str:
    """What all runs have in common, or everything that some have."""
    return "; ".join(dict.fromkeys(texts)) or "not known yet"


def _sticky(run: dict[str, Any]) -> str:
    now, trained = run["evaluation"]["sticky_probability"], run["config"]["envs"]["sticky_probability"]
    return f"{now:g} as trained" if now == trained else f"{now:g} (trained with {trained:g})"


def _noops(run: dict[str, Any]) -> str:
    return f"0 to {max(0, run['evaluation']['noop_max'] - 1)}"


def _actions(run: dict[str, Any]) -> str:
    actions = run["evaluation"]["actions"]
    return actions if isinstance(actions, str) else " ".join(actions)


def _machine(machine: dict[str, Any]) -> str:
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    return f"{machine['processor']}, {machine['memory_bytes'] / 1e9:.0f} GB, {gpus}"


def _versions(run: dict[str, Any]) -> str:
    version = run["versions"]
    return (
        f"commit {run['commit']}, Python {version['python']}, torch {version['torch']}, ale-py {version['ale-py']}, "
        f"numpy {version['numpy']}"
    )


def _csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def scores_csv(scores: Scores) -> str:
    """One line per run of the plan."""
    header = (
        "preset", "game", "seed", "status", "mean_return", "std_return", "human_normalised", "episodes", "epsilon",
        "sticky_probability", "env_steps", "gradient_steps", "train_seconds", "train_episodes", "train_mean_return",
        "stop_reason", "failure",
    )  # fmt: skip
    rows: list[list[Any]] = []
    for key in scores.plan.runs():
        start: list[Any] = [key.preset, key.game, key.seed]
        if key not in scores.finished:
            status, sentence = ("failed", scores.failed[key]) if key in scores.failed else ("missing", "")
            rows.append([*start, status, *[""] * 12, sentence])
            continue
        run = scores.finished[key]
        games, training = run["evaluation"], run["training"]
        rows.append(
            [
                *start, "finished", games["mean"], games["std"], human_normalised(key.game, games["mean"]),
                games["episodes"], games["epsilon"], games["sticky_probability"],
                *(training[name] for name in ("env_steps", "gradient_steps", "seconds", "episodes", "avg_reward")),
                training["stop_reason"], "",
            ]
        )  # fmt: skip
    return _csv(header, rows)


def aggregates_csv(scores: Scores, summary: Summary) -> str:
    """One line per number of the report, with its interval."""
    rows: list[list[Any]] = []
    for preset, estimates in summary.aggregates.items():
        seeds, games = len(scores.whole_seeds(preset)), len(scores.ranked_games)
        rows += [_row(preset, f"human_normalised {name}", "", seeds, games, value) for name, value in estimates.items()]
    for two in summary.improvements:
        rows.append(
            _row(two.first, "probability of improvement", two.second, "", len(scores.ranked_games), two.estimate)
        )
    for row in summary.games:
        rows.append(_row(row.preset, "mean_return", row.game, row.seeds, 1, row.raw))
        if row.normalised is not None:
            rows.append(_row(row.preset, "human_normalised", row.game, row.seeds, 1, row.normalised))
    return _csv(("preset", "measure", "game_or_other_preset", "seeds", "games", "value", "low_95", "high_95"), rows)


def _row(preset: str, measure: str, of: str, seeds: Any, games: int, estimate: Estimate) -> list[Any]:
    return [preset, measure, of, seeds, games, estimate.value, estimate.low, estimate.high]
