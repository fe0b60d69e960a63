"""The plots of a bench's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from rl_speed.bench.model.rows import STAGE_ORDER, speed
from rl_speed.bench.show.tables import expectation_factors

# Colour-blind readers tell them apart too.
COLORS = {
    "act": "#0072b2", "env": "#009e73", "wait": "#bbbbbb", "replay": "#e69f00", "transfer": "#cc79a7",
    "update": "#d55e00", "reduce": "#56b4e9", "other": "#777777",
}  # fmt: skip

MOST_LINEAR = 30  # times the smallest bar
LEGEND = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "traceorder": "normal"}


def _measured(rows: Sequence[dict[str, Any]], *chosen: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["group"] in chosen and row["env_steps_per_second"]]


def _scale(values: Sequence[float]) -> str:
    """Linear while the smallest bar can be seen: a bar on a logarithmic axis has no length that means something."""
    return "linear" if max(values) <= MOST_LINEAR * min(values) else "log"


def spread_figure(rows: Sequence[dict[str, Any]], key: str, unit: str, title: str) -> go.Figure:
    """A speed of each row, with its spread.

    Args:
        rows: from top to bottom.
        key: of the spread in a row.
        unit: of the axis.
        title: above.
    """
    spreads = [row[key] for row in rows]
    figure = go.Figure(
        go.Bar(
            x=[s["median"] for s in spreads],
            y=[row["name"] for row in rows],
            orientation="h",
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [s["max"] - s["median"] for s in spreads],
                "arrayminus": [s["median"] - s["min"] for s in spreads],
            },
            marker_color="#d55e00" if unit == "samples/s" else "#0072b2",
            name=unit,
        )
    )
    figure.update_layout(title=title, height=max(240, 140 + 34 * len(rows)))
    scale = _scale([s["median"] for s in spreads])
    figure.update_xaxes(type=scale, title=f"{unit} ({scale} scale; bars: median, lines: min to max)")
    figure.update_yaxes(autorange="reversed")
    return figure


def shares_figure(rows: Sequence[dict[str, Any]], per_env_step: bool, title: str) -> go.Figure:
    """Where the learner's time goes: shares, or milliseconds per env step."""
    figure = go.Figure()
    for stage in STAGE_ORDER:
        values = [row["time_shares"].get(stage, 0.0) * (1e3 / speed(row) if per_env_step else 100.0) for row in rows]
        if any(value > 0 for value in values):
            figure.add_bar(
                x=values, y=[row["name"] for row in rows], orientation="h", name=stage, marker_color=COLORS[stage]
            )
    figure.update_layout(barmode="stack", title=title, height=max(280, 180 + 34 * len(rows)), legend=LEGEND)
    figure.update_xaxes(title="ms of the learner's process per env step" if per_env_step else "% of its time")
    figure.update_yaxes(autorange="reversed")
    return figure


def envs_figure(rows: Sequence[dict[str, Any]]) -> go.Figure:
    """Speed and utilisation against the number of envs."""
    figure = go.Figure()
    for kind, color in (("train", "#d55e00"), ("play", "#0072b2")):
        own = sorted((r for r in rows if r["point"]["kind"] == kind), key=lambda row: row["point"]["envs"])
        if not own:
            continue
        counts = [row["point"]["envs"] for row in own]
        label = "training" if kind == "train" else "playing only"
        figure.add_scatter(
            x=counts, y=[speed(row) for row in own], mode="lines+markers", name=f"{label}: env steps/s",
            line={"color": color},
        )  # fmt: skip
        for name, dash in (("cpu_percent", "dot"), ("gpu_percent", "dash")):
            if any(row[name] is not None for row in own):
                figure.add_scatter(
                    x=counts, y=[row[name] for row in own], mode="lines+markers", yaxis="y2",
                    name=f"{label}: {name[:3].upper()} %", line={"color": color, "dash": dash},
                )  # fmt: skip
    figure.update_layout(
        title="More envs: speed, and how full the machine is",
        yaxis2={"title": "% busy", "overlaying": "y", "side": "right", "range": [0, 105]},
        legend=LEGEND,
        height=480,
    )
    figure.update_xaxes(type="log", title="envs (log scale)", dtick=0.30103)
    figure.update_yaxes(type="log", title="env steps/s (log scale)", selector={"overlaying": None})
    figure.update_layout(yaxis2_type="linear")
    return figure


def reward_figure(runs: Sequence[dict[str, Any]], axis: int) -> go.Figure:
    """Mean return of 100 games against seconds (axis 0) or frames (axis 1)."""
    figure = go.Figure()
    for run in runs:
        figure.add_scatter(
            x=[point[axis] * (run["frame_skip"] if axis else 1) for point in run["curve"]],
            y=[point[2] for point in run["curve"]],
            mode="lines",
            name=f"{run['name']}, seed {run['seed']}",
        )
    over = ("wall time", "frames")[axis]
    figure.update_layout(title=f"Mean return of the last 100 games against {over}", height=460, legend=LEGEND)
    figure.update_xaxes(title=("seconds of the run", "frames of the emulator")[axis])
    figure.update_yaxes(title="mean raw return")
    return figure


def expectation_figure(content: dict[str, Any]) -> go.Figure:
    """Expected beside measured factors."""
    factors = expectation_factors(content)
    names = [expectation["name"] for expectation, _, _ in factors]
    figure = go.Figure()
    figure.add_bar(x=names, y=[expected for _, expected, _ in factors], name="expected", marker_color="#bbbbbb")
    figure.add_bar(x=names, y=[measured for _, _, measured in factors], name="measured", marker_color="#0072b2")
    figure.update_layout(
        barmode="group", title="Factor over baseline: expected from its shares, and measured",
        legend=LEGEND,
    )  # fmt: skip
    scale = _scale([value for _, expected, measured in factors for value in (expected, measured)])
    figure.update_yaxes(type=scale, title=f"times baseline's samples/s ({scale} scale)")
    return figure


def _ladder_figures(content: dict[str, Any]) -> list[go.Figure]:
    rows = content["rows"]
    learners = _measured(rows, "ladder", "peers")
    timed = [row for row in _measured(rows, "ladder") if row["time_shares"]]
    sampled = [row for row in learners if row["samples_spread"]]
    figures = []
    if sampled:
        figures.append(spread_figure(sampled, "samples_spread", "samples/s", "Samples learned from per second"))
    if learners:
        figures.append(spread_figure(learners, "env_steps_per_second", "env steps/s", "Env steps per second"))
    if timed:
        figures.append(shares_figure(timed, False, "Where the learner's time goes"))
    if content["expectations"]:
        figures.append(expectation_figure(content))
    return figures


def figures(content: dict[str, Any]) -> list[go.Figure]:
    """Every plot for which there is something to show."""
    rows = content["rows"]
    plots = _ladder_figures(content)
    if _measured(rows, "envs"):
        plots.append(envs_figure(_measured(rows, "envs")))
    for group, title in (
        ("actors", "Processes x envs x networks"),
        ("devices", "Ranks, and actors of one rank"),
        ("env_only", "Games alone, random actions"),
    ):
        if _measured(rows, group):
            plots.append(spread_figure(_measured(rows, group), "env_steps_per_second", "env steps/s", title))
    if _measured(rows, "wrappers"):
        title = "Light wrappers, one at a time: time per env step"
        plots.append(shares_figure(_measured(rows, "wrappers"), True, title))
    runs = [run for run in content["solve"] if run.get("curve")]
    if runs:
        plots += [reward_figure(runs, 0), reward_figure(runs, 1)]
    return plots
