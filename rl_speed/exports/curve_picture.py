"""A training curve as an SVG picture, written as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 720, 360  # pixels
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 20, 45  # margins
COLOR = "#0072b2"


def draw_curve(points: Sequence[tuple[float, int, float]], goal: float | None) -> str:
    """The mean return of the last games against the seconds of a run.

    Args:
        points: seconds, env steps and mean return, in order; at least two.
        goal: a mean return that is marked; None: none is.

    Returns:
        the picture's text.
    """
    seconds, returns = [point[0] for point in points], [point[2] for point in points]
    y_values = [*returns, *([] if goal is None else [goal])]
    x_ticks, y_ticks = ticks(0.0, max(seconds)), ticks(min(y_values), max(y_values))
    low, high = min(y_ticks[0], min(y_values)), max(y_ticks[-1], max(y_values))
    longest = max(seconds) or 1.0

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / longest

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / ((high - low) or 1.0)

    parts = [_line(x(tick), TOP, x(tick), HEIGHT - BOTTOM) for tick in x_ticks]
    parts += [_line(LEFT, y(tick), WIDTH - RIGHT, y(tick)) for tick in y_ticks]
    parts += [_text(x(tick), HEIGHT - BOTTOM + 16, f"{tick:g}") for tick in x_ticks]
    parts += [_text(LEFT - 8, y(tick) + 4, f"{tick:g}", "end") for tick in y_ticks]
    if goal is not None:
        parts.append(_line(LEFT, y(goal), WIDTH - RIGHT, y(goal), "#000000"))
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(seconds, returns, strict=True))
    parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOR}" stroke-width="1.5"/>')
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "seconds of training"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'transform="rotate(-90 16 {middle:.1f})"'
    parts.append(_text(16, middle, "mean return of the last games", more=turned))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round numbers within a range, evenly spaced: steps of 1, 2 or 5 times a power of ten.

    Args:
        low, high: ends of the range.
        most: of them.
    """
    if high <= low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, color: str = "#dddddd") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="0.7"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{text}</text>'
