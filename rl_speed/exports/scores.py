"""What an exported network is worth: the games of its run's confirmation, or games that are played for the export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_speed.exports.agent import TrainedAgent
from rl_speed.training.evaluation import Evaluation, Protocol
from rl_speed.training.result import RESULT_FILE
from rl_speed.training.run_folder import run_of

DEFAULT_EPISODES = 30


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


def read_result(folder: Path, gradient_steps: int | None) -> dict[str, Any] | None:
    """The result of a checkpoint's run, if it tells of this checkpoint: of a run that ended with it.

    Args:
        folder: the checkpoint.
        gradient_steps: of it.
    """
    run = run_of(folder)
    try:
        content = json.loads((run / RESULT_FILE).read_text(encoding="utf-8")) if run else None
    except (OSError, ValueError):
        return None
    is_of_it = isinstance(content, dict) and content.get("gradient_steps") == gradient_steps
    return content if is_of_it else None


def confirmed(agent: TrainedAgent, result: Mapping[str, Any] | None) -> Score | None:
    """The confirmation of a run's result; None without."""
    games = (result or {}).get("confirmation")
    if not games:
        return None
    numbers = {name: games[name] for name in ("episodes", "mean", "std", "min", "max")}
    origin = f"the confirmation at the end of the training run, computed in {agent.precision}"
    return Score(**numbers, epsilon=agent.config.stop.confirm_epsilon, origin=origin)


def score_of(games: Evaluation, protocol: Protocol) -> Score:
    """Games that were played with the exported network."""
    summary = games.summary()
    origin = f"played for this export, with seed {protocol.seed}, computed in fp32"
    numbers = {name: summary[name] for name in ("mean", "std", "min", "max")}
    return Score(len(games.returns), **numbers, epsilon=protocol.epsilon, origin=origin)
