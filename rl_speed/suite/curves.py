"""Training returns against env steps and against wall time, one curve for many runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rl_speed.suite.estimates import Array, curve
from rl_speed.suite.folder import RunKey
from rl_speed.suite.record import Episodes
from rl_speed.suite.reference import human_normalised
from rl_speed.suite.scores import Scores

WINDOW_EPISODES = 20  # in the mean that is drawn
POINTS = 100
Axis = Literal["env_steps", "seconds"]


@dataclass(frozen=True)
class Curve:
    """A line and the band around it, None where the runs do not bear one; [P] each."""

    x: Array
    value: Array
    low: Array | None
    high: Array | None


def running_mean(returns: Array) -> Array:
    """Mean of the last `WINDOW_EPISODES` returns, or of as many as there are, after each game."""
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    last = np.arange(1, len(returns) + 1)
    first = np.maximum(0, last - WINDOW_EPISODES)
    means: Array = (sums[last] - sums[first]) / (last - first)
    return means


def at_points(episodes: Episodes, axis: Axis, points: Array) -> Array:
    """The running mean of the returns as it stood at each point; not a number before the first game."""
    where = np.asarray(getattr(episodes, axis), dtype=np.float64)
    means = np.concatenate([[np.nan], running_mean(np.asarray(episodes.returns, dtype=np.float64))])
    values: Array = means[np.searchsorted(where, points, side="right")]
    return values


def _points(scores: Scores, keys: list[RunKey], axis: Axis) -> Array:
    """Up to where every run went."""
    return np.linspace(0.0, min(float(scores.finished[key]["training"][axis]) for key in keys), POINTS)


def preset_curve(scores: Scores, games: Mapping[RunKey, Episodes], preset: str, axis: Axis) -> Curve | None:
    """Interquartile mean of the human-normalised training returns of a preset's whole seeds; None without games.

    It begins where each run has finished a game.
    """
    seeds, ranked = scores.whole_seeds(preset), scores.ranked_games
    keys = [RunKey(seed, game, preset) for seed in seeds for game in ranked]
    if not keys or not all(key in games and games[key].returns for key in keys):
        return None
    points = _points(scores, keys, axis)
    rows = np.array([_normalised(key.game, at_points(games[key], axis, points)) for key in keys])
    table = rows.reshape(len(seeds), len(ranked), POINTS)
    known = ~np.isnan(table).any(axis=(0, 1))
    if not known.any():
        return None
    return Curve(points[known], *curve(table[..., known]))


def _normalised(game: str, returns: Array) -> Array:
    zero, one = (human_normalised(game, value) for value in (0.0, 1.0))
    assert zero is not None
    assert one is not None
    return zero + returns * (one - zero)


def game_curve(scores: Scores, games: Mapping[RunKey, Episodes], preset: str, game: str) -> Curve | None:
    """Mean raw training return over the seeds of one game against env steps, from the lowest to the highest seed."""
    keys = [key for key in games if (key.preset, key.game) == (preset, game) and games[key].returns]
    if not keys:
        return None
    points = _points(scores, keys, "env_steps")
    rows = np.array([at_points(games[key], "env_steps", points) for key in keys])
    known = ~np.isnan(rows).any(axis=0)
    if not known.any():
        return None
    rows = rows[:, known]
    return Curve(points[known], rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0))
