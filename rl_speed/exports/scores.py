"""What an exported network is worth: the games of its run's confirmation, or games that are played for the export."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_speed.exports.agent import TrainedAgent
from rl_speed.training.evaluation import Evaluation, Protocol
from rl_speed.training.result import RESULT_FILE
from rl_speed.training.run_folder import run_of

_NUMBERS = ("episodes", "mean", "std", "min", "max")


@dataclass(frozen=True)
class Score:
    """Raw returns of full games, in a few numbers.

    Attributes:
        episodes, mean, std, min, max: of the returns.
        epsilon: share of random actions.
        origin: who played them, as a sentence.
    """

    episodes: int
    mean: float
    std: float
    min: float
    max: float
    epsilon: float
    origin: str


def read_result(folder: Path, content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result of a checkpoint's run, if it tells of this checkpoint: of a run that ended with it.

    Args:
        folder: the checkpoint.
        content: of its model file. Gradient steps alone would not do: a run that was taken up again further back comes
            by the same number once more, with other games behind it.
    """
    run = run_of(folder)
    try:
        result = json.loads((run / RESULT_FILE).read_text(encoding="utf-8")) if run else None
    except (OSError, ValueError):
        return None
    counted = content.get("callbacks", {}).get("EpisodeStatistics", {})
    facts = content.get("rl_speed", {})
    expected = {
        "gradient_steps": content.get("global_step"), "episodes": counted.get("episodes"),
        "preset": facts.get("preset"), "config": facts.get("config"),
    }  # fmt: skip
    is_of_it = isinstance(result, dict) and all(result.get(name) == value for name, value in expected.items())
    return result if is_of_it else None


def confirmed(agent: TrainedAgent, result: Mapping[str, Any] | None) -> Score | None:
    """The confirmation of a run's result; None without."""
    games = (result or {}).get("confirmation")
    if not isinstance(games, Mapping) or not all(isinstance(games.get(name), int | float) for name in _NUMBERS):
        return None
    numbers = {name: games[name] for name in _NUMBERS}
    origin = f"the confirmation at the end of the training run, computed in {agent.precision}"
    return Score(**numbers, epsilon=agent.config.stop.confirm_epsilon, origin=origin)


def failed_means(result: Mapping[str, Any] | None) -> Sequence[float]:
    """Mean returns of the run's confirmations that did not bear its goal out, earlier ones first."""
    games = (result or {}).get("failed_confirmations") or ()
    return [one["mean"] for one in games if isinstance(one, Mapping) and isinstance(one.get("mean"), int | float)]


def score_of(games: Evaluation, protocol: Protocol) -> Score:
    """Games that were played with the exported network."""
    summary = games.summary()
    origin = f"played for this export, with seed {protocol.seed}, computed in fp32"
    numbers = {name: summary[name] for name in ("mean", "std", "min", "max")}
    return Score(len(games.returns), **numbers, epsilon=protocol.epsilon, origin=origin)
