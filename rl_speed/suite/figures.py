"""The plots of a suite's page."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rl_speed.suite.curves import WINDOW_EPISODES, Axis, Curve, game_curve, preset_curve
from rl_speed.suite.estimates import METRICS
from rl_speed.suite.folder import RunKey
from rl_speed.suite.record import Episodes
from rl_speed.suite.scores import Scores
from rl_speed.suite.summary import Summary

# Colour-blind readers tell them apart too.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777")
LEGEND = {"orientation": "h", "yanchor": "bottom", "y": 1.0}
COLUMNS = 4


def _color(scores: Scores, preset: str) -> str:
    return COLORS[list(scores.plan.presets).index(preset) % len(COLORS)]


def aggregates_figure(scores: Scores, summary: Summary) -> go.Figure:
    """Each metric's numbers side by side, with their intervals."""
    figure = make_subplots(rows=1, cols=len(METRICS), subplot_titles=METRICS)
    for place, metric in enumerate(METRICS, 1):
        for preset, estimates in summary.aggregates.items():
            estimate = estimates[metric]
            bar = None
            if estimate.low is not None and estimate.high is not None:
                bar = {
                    "type": "data", "symmetric": False, "array": [estimate.high - estimate.value],
                    "arrayminus": [estimate.value - estimate.low],
                }  # fmt: skip
            figure.add_scatter(
                x=[estimate.value], y=[preset], error_x=bar, mode="markers", showlegend=False, name=preset,
                marker={"color": _color(scores, preset), "size": 10}, row=1, col=place,
            )  # fmt: skip
        figure.update_yaxes(showticklabels=place == 1, row=1, col=place)
    figure.update_layout(title="Human-normalised scores, 95 % intervals", height=180 + 40 * len(summary.aggregates))
    return figure


def _add(figure: go.Figure, curve: Curve, name: str, color: str, **place: object) -> None:
    """A line in front of its band."""
    shown = place.pop("showlegend", True)
    if curve.low is not None and curve.high is not None:
        band = {"line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "mode": "lines", "legendgroup": name}
        figure.add_scatter(x=curve.x, y=curve.low, **band, **place)
        red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
        figure.add_scatter(
            x=curve.x, y=curve.high, fill="tonexty", fillcolor=f"rgba({red},{green},{blue},0.2)", **band, **place
        )
    figure.add_scatter(
        x=curve.x, y=curve.value, mode="lines", name=name, line={"color": color}, legendgroup=name, showlegend=shown,
        **place,
    )  # fmt: skip


def curve_figure(scores: Scores, games: Mapping[RunKey, Episodes], axis: Axis) -> go.Figure | None:
    """All presets' training returns against env steps or wall time."""
    figure, over = go.Figure(), {"env_steps": "env steps", "seconds": "wall time"}[axis]
    for preset in scores.plan.presets:
        curve = preset_curve(scores, games, preset, axis)
        if curve is not None:
            _add(figure, curve, preset, _color(scores, preset))
    if not figure.data:
        return None
    figure.update_layout(
        title=f"Training games against {over}: interquartile mean over runs, 95 % interval", height=440, legend=LEGEND
    )
    figure.update_xaxes(title="seconds of the run" if axis == "seconds" else over)
    figure.update_yaxes(title=f"human-normalised, mean of {WINDOW_EPISODES} games")
    return figure


def games_figure(scores: Scores, games: Mapping[RunKey, Episodes]) -> go.Figure | None:
    """A small plot per game: mean over the seeds, and from the lowest to the highest."""
    drawn = [
        (game, {preset: game_curve(scores, games, preset, game) for preset in scores.plan.presets})
        for game in scores.plan.games
    ]
    drawn = [(game, curves) for game, curves in drawn if any(curve is not None for curve in curves.values())]
    if not drawn:
        return None
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=[game for game, _ in drawn], vertical_spacing=0.35 / rows
    )
    named: set[str] = set()
    for number, (_, curves) in enumerate(drawn):
        for preset, curve in curves.items():
            if curve is not None:
                where = {"row": number // columns + 1, "col": number % columns + 1}
                _add(figure, curve, preset, _color(scores, preset), **where, showlegend=preset not in named)
                named.add(preset)
    figure.update_layout(
        title=f"Training games against env steps: raw return, mean of {WINDOW_EPISODES} games and of the seeds; band: "
        f"lowest to highest seed",
        height=160 + 220 * rows, legend={"orientation": "h", "yanchor": "top", "y": -0.15 / rows},
    )  # fmt: skip
    return figure


def figures(scores: Scores, summary: Summary, games: Mapping[RunKey, Episodes]) -> list[go.Figure]:
    """Every plot for which there is something to show."""
    plots = [aggregates_figure(scores, summary)] if summary.aggregates else []
    plots += [curve_figure(scores, games, axis) for axis in ("env_steps", "seconds")]
    plots.append(games_figure(scores, games))
    return [plot for plot in plots if plot is not None]
