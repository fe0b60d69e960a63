"""Interquartile mean and its like with bootstrap intervals: the only file that imports SciPy.

Intervals over several games are percentile bootstraps stratified by game: a resample draws each game's runs from its
own. One game's are Student's t intervals: a bootstrap of a handful of seeds is far too narrow.

Source: Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, sections 4.1 to 4.3.
Differs: the intervals of single games.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_speed.system.errors import UserError

Array = NDArray[np.float64]
RESAMPLES = 9999
CURVE_RESAMPLES = 999
CONFIDENCE = 0.95
_SEED = 0  # the same scores give the same intervals
METRICS = ("IQM", "median", "mean", "optimality gap")


@dataclass(frozen=True)
class Estimate:
    """A number, and its 95 % interval; None where the runs do not bear one."""

    value: float
    low: float | None = None
    high: float | None = None


def _import_stats() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise UserError(f"the intervals of a suite need SciPy ({error}); pip install 'rl-speed[suite]'") from None
    return stats


def check_scipy() -> None:
    """Raises UserError, with what to install, where there is no SciPy."""
    _import_stats()


def _interval(
    samples: Sequence[Array], statistic: Callable[..., Any], resamples: int = RESAMPLES, batch: int = 500
) -> tuple[Any, Any]:
    """The percentile interval of a statistic of some independent samples, each resampled within itself.

    Args:
        samples: one per game, [..., S].
        statistic: of these, [..., resamples, S] each; reduces the last axis.
        resamples: number.
        batch: resamples that are held in memory at once.
    """

    def reduced(*drawn: Array, axis: int) -> Any:
        return statistic(*(np.moveaxis(one, axis, -1) for one in drawn))

    interval = _import_stats().bootstrap(
        samples, reduced, n_resamples=resamples, batch=batch, vectorized=True, axis=-1, confidence_level=CONFIDENCE,
        method="percentile", rng=np.random.default_rng(_SEED),
    ).confidence_interval  # fmt: skip
    return interval.low, interval.high


def interquartile_mean(*samples: Array) -> Any:
    """Mean of the middle half of all runs of all games, [..., S] each."""
    return _import_stats().trim_mean(np.concatenate(samples, axis=-1), 0.25, axis=-1)


def _game_means(samples: Sequence[Array]) -> Array:
    return np.stack([one.mean(axis=-1) for one in samples])


def _median(*samples: Array) -> Any:
    return np.median(_game_means(samples), axis=0)


def _mean(*samples: Array) -> Any:
    return _game_means(samples).mean(axis=0)


def _optimality_gap(*samples: Array) -> Any:
    """How far runs stay below the human tester on average; what is above counts as reaching it."""
    return 1.0 - _game_means([np.minimum(one, 1.0) for one in samples]).mean(axis=0)


_STATISTICS = dict(zip(METRICS, (interquartile_mean, _median, _mean, _optimality_gap), strict=True))


def aggregates(scores: Array) -> dict[str, Estimate]:
    """What human-normalised scores say together.

    Args:
        scores: [S, G]: a row per seed, a column per game.

    Returns:
        by the names of `METRICS`; intervals only where there are two seeds and two games at least.
    """
    samples = list(scores.T)
    estimates = {}
    for name, statistic in _STATISTICS.items():
        value = float(statistic(*samples))
        low = high = None
        if min(scores.shape) > 1:
            low, high = map(float, _interval(samples, statistic))
        estimates[name] = Estimate(value, low, high)
    return estimates


def mean_of_seeds(scores: Sequence[float]) -> Estimate:
    """Mean over the seeds of one game, and Student's t interval where there are two at least."""
    sample = np.asarray(scores, dtype=np.float64)
    mean = float(sample.mean())
    if len(sample) < 2:
        return Estimate(mean)
    error = float(sample.std(ddof=1)) / len(sample) ** 0.5
    if error == 0.0:  # SciPy knows no such interval
        return Estimate(mean, mean, mean)
    low, high = _import_stats().t.interval(CONFIDENCE, len(sample) - 1, loc=mean, scale=error)
    return Estimate(mean, float(low), float(high))


def _improvement(*samples: Array) -> Any:
    games = len(samples) // 2
    better = []
    for first, second in zip(samples[:games], samples[games:], strict=True):
        difference = first[..., :, None] - second[..., None, :]
        better.append(((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-2, -1)))
    return np.mean(better, axis=0)


def probability_of_improvement(first: Array, second: Array) -> Estimate:
    """How likely a run of the first scores higher than one of the second on the same game, as the mean over the games.

    Args:
        first, second: [S, G] of the same games; the numbers of seeds may differ.
    """
    samples = [*first.T, *second.T]
    value = float(_improvement(*samples))
    if min(first.shape[0], *second.shape) < 2:
        return Estimate(value)
    low, high = map(float, _interval(samples, _improvement))
    return Estimate(value, low, high)


def curve(scores: Array) -> tuple[Array, Array | None, Array | None]:
    """Interquartile mean over runs at each point of their curves, and its interval.

    Args:
        scores: [S, G, P].

    Returns:
        [P] each; no interval for one seed or one game.
    """
    samples = [np.ascontiguousarray(scores[:, game, :].T) for game in range(scores.shape[1])]  # [P, S]
    value = np.asarray(interquartile_mean(*samples))
    if min(scores.shape[:2]) < 2:
        return value, None, None
    low, high = _interval(samples, interquartile_mean, CURVE_RESAMPLES, 50)
    return value, np.asarray(low), np.asarray(high)
