"""One self-contained page with the plots of a bench: no network, plotly's library inside."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import plotly.io

from rl_speed.bench.model.rows import STAGE_ORDER, speed
from rl_speed.bench.show.tables import (
    EXPECTATION_HEADER,
    HEADER,
    SOLVE_HEADER,
    TITLES,
    cells,
    expectation_lines,
    groups,
    setting_line,
    solve_lines,
)

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; font-size: 13px; margin: 1em 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: 4px 8px; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
p.setting { color: #555; font-size: 14px; }
"""
# Told apart by colour-blind readers too.
COLORS = {
    "act": "#0072b2", "env": "#009e73", "wait": "#bbbbbb", "replay": "#e69f00", "transfer": "#cc79a7",
    "update": "#d55e00", "other": "#777777",
}  # fmt: skip


def _measured(rows: Sequence[dict[str, Any]], *chosen: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["group"] in chosen and row["env_steps_per_second"]]


def speed_figure(rows: Sequence[dict[str, Any]], title: str) -> go.Figure:
    """Env steps per second with their spread."""
    speeds = [row["env_steps_per_second"] for row in rows]
    figure = go.Figure(
        go.Bar(
            x=[s["median"] for s in speeds],
            y=[row["name"] for row in rows],
            orientation="h",
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [s["max"] - s["median"] for s in speeds],
                "arrayminus": [s["median"] - s["min"] for s in speeds],
            },
            marker_color="#0072b2",
            name="env steps/s",
        )
    )
    figure.update_layout(title=title, height=max(240, 140 + 34 * len(rows)))
    figure.update_xaxes(type="log", title="env steps/s (log scale; bars: median, lines: min to max)")
    figure.update_yaxes(autorange="reversed")
    return figure


def samples_figure(rows: Sequence[dict[str, Any]]) -> go.Figure:
    """Samples learned from per second."""
    figure = go.Figure(
        go.Bar(
            x=[row["samples_per_second"] for row in rows],
            y=[row["name"] for row in rows],
            orientation="h",
            marker_color="#d55e00",
            name="samples/s",
        )
    )
    figure.update_layout(title="Samples learned from per second", height=max(240, 140 + 34 * len(rows)))
    figure.update_xaxes(type="log", title="samples/s (log scale)")
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
    figure.update_layout(
        barmode="stack", title=title, height=max(280, 180 + 34 * len(rows)), legend={"orientation": "h", "y": -0.3}
    )
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
        legend={"orientation": "h", "y": -0.2},
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
    figure.update_layout(title=f"Mean return of the last 100 games against {over}", height=460)
    figure.update_xaxes(title=("seconds of the run", "frames of the emulator")[axis])
    figure.update_yaxes(title="mean raw return")
    return figure


def expectation_figure(expectations: Sequence[dict[str, Any]]) -> go.Figure:
    """Expected beside measured factors."""
    names = [e["name"] for e in expectations]
    figure = go.Figure()
    figure.add_bar(x=names, y=[e["expected"] for e in expectations], name="expected", marker_color="#bbbbbb")
    figure.add_bar(x=names, y=[e["measured"] for e in expectations], name="measured", marker_color="#0072b2")
    figure.update_layout(barmode="group", title="Factor over baseline: expected from its shares, and measured")
    figure.update_yaxes(type="log", title="times baseline's env steps/s (log scale)")
    return figure


def figures(content: dict[str, Any]) -> list[go.Figure]:
    """Every plot for which there is something to show."""
    rows = content["rows"]
    found = []
    learners = _measured(rows, "ladder", "peers")
    timed = [row for row in _measured(rows, "ladder") if row["time_shares"]]
    sampled = [row for row in learners if row["samples_per_second"]]
    if learners:
        found.append(speed_figure(learners, "Speed while training"))
    if sampled:
        found.append(samples_figure(sampled))
    if timed:
        found.append(shares_figure(timed, False, "Where the learner's time goes"))
    if content["expectations"]:
        found.append(expectation_figure(content["expectations"]))
    if _measured(rows, "envs"):
        found.append(envs_figure(_measured(rows, "envs")))
    if _measured(rows, "actors"):
        found.append(speed_figure(_measured(rows, "actors"), "Processes x envs x networks"))
    if _measured(rows, "wrappers"):
        found.append(
            shares_figure(_measured(rows, "wrappers"), True, "Light wrappers, one at a time: time per env step")
        )
    if _measured(rows, "env_only"):
        found.append(speed_figure(_measured(rows, "env_only"), "Games alone, random actions"))
    runs = [run for run in content["solve"] if run.get("curve")]
    if runs:
        found += [reward_figure(runs, 0), reward_figure(runs, 1)]
    return found


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(text)}</th>" for text in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def page(content: dict[str, Any]) -> str:
    """The page as HTML."""
    parts = ["<h1>Which speed-up pays here</h1>", f'<p class="setting">{html.escape(setting_line(content))}</p>']
    if not content["is_whole"]:
        parts.append("<p>Not whole: the bench was stopped before its end.</p>")
    parts.append(f"<h2>Diagnosis</h2><p>{html.escape(content['diagnosis'])}</p>")
    parts += [f"<p>{html.escape(text)}</p>" for text in content["answers"].values()]
    for place, figure in enumerate(figures(content)):
        figure.update_layout(template="plotly_white", margin={"l": 10, "r": 10})
        figure.update_yaxes(automargin=True)
        parts.append(
            plotly.io.to_html(
                figure, include_plotlyjs=place == 0, full_html=False, div_id=f"plot{place}",
                config={"displaylogo": False, "responsive": True},
            )
        )  # fmt: skip
    for group, rows in groups(content["rows"]).items():
        parts.append(f"<h2>{TITLES[group]}</h2>" + _table(HEADER, [cells(row) for row in rows]))
        notes = [row for row in rows if row["package"] or (row["about"] and group in ("peers", "env_only"))]
        for row in notes:
            facts = row["package"]
            licence = f" ({facts['package']} {facts['version']}, licence {facts['licence']})" if facts else ""
            parts.append(f"<p class='setting'>{html.escape(row['name'] + ': ' + row['about'] + licence)}</p>")
    if content["solve"]:
        parts.append("<h2>Time to solve</h2>" + _table(SOLVE_HEADER, solve_lines(content)))
    if content["expectations"]:
        parts.append("<h2>Expected and measured</h2>" + _table(EXPECTATION_HEADER, expectation_lines(content)))
    parts += [f"<p>{html.escape(text)}</p>" for text in content["problems"]]
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>rl_speed bench</title>"
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
