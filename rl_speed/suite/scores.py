"""What the runs of a suite have left: scores, failures, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_speed.suite.estimates import Array
from rl_speed.suite.folder import EPISODES_FILE, FAILURE_FILE, SCORE_FILE, RunKey
from rl_speed.suite.plan import SuitePlan
from rl_speed.suite.record import Episodes, read_episodes
from rl_speed.suite.reference import human_normalised, reference_scores
from rl_speed.suite.score_file import read_score


@dataclass
class Scores:
    """All that is known of a suite's runs.

    Attributes:
        plan: of the suite.
        finished: content of score.json by run.
        failed: one sentence by run.
        missing: runs that are not finished and have not failed.
    """

    plan: SuitePlan
    finished: dict[RunKey, dict[str, Any]] = field(default_factory=dict)
    failed: dict[RunKey, str] = field(default_factory=dict)
    missing: list[RunKey] = field(default_factory=list)

    @property
    def ranked_games(self) -> list[str]:
        """Games with a reference, which the aggregates are over."""
        return [game for game in self.plan.games if game in reference_scores()]

    def of_game(self, preset: str, game: str) -> list[float]:
        """Mean raw return of each finished run, by seed."""
        keys = [RunKey(seed, game, preset) for seed in self.plan.seeds]
        return [self.finished[key]["evaluation"]["mean"] for key in keys if key in self.finished]

    def failed_seeds(self, preset: str) -> list[int]:
        """Seeds with which a run of the preset has failed, on whatever game."""
        return sorted({key.seed for key in self.failed if key.preset == preset})

    def whole_seeds(self, preset: str) -> list[int]:
        """Seeds with which every game that has a reference is finished: others would weigh the games unequally."""
        return [
            seed
            for seed in self.plan.seeds
            if self.ranked_games and all(RunKey(seed, game, preset) in self.finished for game in self.ranked_games)
        ]

    def matrix(self, preset: str) -> Array:
        """Human-normalised scores [S, G] of the whole seeds and the games with a reference."""
        seeds, games = self.whole_seeds(preset), self.ranked_games
        table = np.empty((len(seeds), len(games)))
        for row, seed in enumerate(seeds):
            for column, game in enumerate(games):
                mean = self.finished[RunKey(seed, game, preset)]["evaluation"]["mean"]
                table[row, column] = human_normalised(game, mean)
        return table


def read_scores(out: Path, plan: SuitePlan) -> Scores:
    """Reads the folders of all runs; a score that cannot be read is a failure."""
    scores = Scores(plan)
    for key in plan.runs():
        folder = key.folder(out)
        try:
            scores.finished[key] = read_score(folder)
            continue
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            scores.failed[key] = f"{SCORE_FILE} cannot be read ({error}); start the suite again to have it made anew"
            continue
        try:
            scores.failed[key] = _failure(folder)
        except FileNotFoundError:
            scores.missing.append(key)
        except (OSError, ValueError) as error:
            scores.failed[key] = f"{FAILURE_FILE} cannot be read ({error})"
    return scores


def _failure(folder: Path) -> str:
    """Why a run has failed."""
    content = json.loads((folder / FAILURE_FILE).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "error" not in content:
        raise ValueError("it holds no error")
    return str(content["error"])


def read_games(out: Path, keys: Sequence[RunKey]) -> dict[RunKey, Episodes]:
    """The training games of finished runs; those whose file cannot be read are left out."""
    games = {}
    for key in keys:
        try:
            games[key] = read_episodes(key.folder(out) / EPISODES_FILE)
        except (OSError, ValueError, IndexError):
            continue
    return games
