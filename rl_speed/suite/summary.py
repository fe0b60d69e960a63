"""What a suite's scores say: the numbers of its report, and in words what they do not bear."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from rl_speed.suite.estimates import Estimate, aggregates, mean_of_seeds, probability_of_improvement
from rl_speed.suite.reference import human_normalised
from rl_speed.suite.scores import Scores

FEW_SEEDS = 5  # fewer make a bootstrap that is itself uncertain, and too narrow


@dataclass(frozen=True)
class GameRow:
    """One game with one preset.

    Attributes:
        seeds: finished runs.
        raw: mean over them of the evaluation's mean return.
        normalised: the same, human-normalised; None without a reference.
    """

    preset: str
    game: str
    seeds: int
    raw: Estimate
    normalised: Estimate | None


@dataclass(frozen=True)
class Improvement:
    """How likely a run of `first` scores higher than one of `second` on the same game."""

    first: str
    second: str
    estimate: Estimate


@dataclass(frozen=True)
class Summary:
    """All numbers of a report.

    Attributes:
        aggregates: by preset and metric; presets without a whole seed are not in it.
        improvements: of every two presets that are.
        games: a row per preset and game with a finished run.
        notes: what cannot be said, and why.
    """

    aggregates: dict[str, dict[str, Estimate]]
    improvements: list[Improvement]
    games: list[GameRow]
    notes: list[str]


def summarise(scores: Scores) -> Summary:
    """Counts everything that the finished runs bear."""
    matrices = {preset: scores.matrix(preset) for preset in scores.plan.presets}
    whole = {preset: matrix for preset, matrix in matrices.items() if matrix.size}
    improvements = [
        Improvement(first, second, probability_of_improvement(whole[first], whole[second]))
        for first, second in combinations(whole, 2)
    ]
    return Summary(
        {preset: aggregates(matrix) for preset, matrix in whole.items()},
        improvements,
        _game_rows(scores),
        _notes(scores),
    )


def _game_rows(scores: Scores) -> list[GameRow]:
    rows = []
    for game in scores.plan.games:
        for preset in scores.plan.presets:
            returns = scores.of_game(preset, game)
            if not returns:
                continue
            raw = mean_of_seeds(returns)
            rows.append(GameRow(preset, game, len(returns), raw, _normalised(game, raw)))
    return rows


def _normalised(game: str, raw: Estimate) -> Estimate | None:
    """A straight line through zero and one takes a mean and its interval along."""
    values = [None if x is None else human_normalised(game, x) for x in (raw.value, raw.low, raw.high)]
    return None if values[0] is None else Estimate(values[0], values[1], values[2])


def _notes(scores: Scores) -> list[str]:
    plan, ranked = scores.plan, scores.ranked_games
    notes = []
    if raw_only := [game for game in plan.games if game not in ranked]:
        notes.append(
            f"Raw scores only: there is no published reference for {', '.join(raw_only)}; the aggregates are without."
        )
    if len(ranked) == 1:
        notes.append(f"One game with a reference, {ranked[0]}: aggregates have no interval and say nothing of others.")
    for preset in plan.presets:
        notes += [*_failure_notes(scores, preset), *(_seed_notes(scores, preset) if ranked else ())]
    return notes


def _failure_notes(scores: Scores, preset: str) -> list[str]:
    """Runs that fail are mostly those that go badly, so what is left over flatters."""
    seeds = scores.failed_seeds(preset)
    if not seeds:
        return []
    failed = [key for key in scores.failed if key.preset == preset]
    aggregates = ", aggregates without their whole seeds"
    if not any(key.game in scores.ranked_games for key in failed):
        aggregates = "; the aggregates do not have these games"
    return [
        f"`{preset}`: {len(failed)} run(s) failed, with seed(s) {_listed(seeds)}. A game's numbers are without its "
        f"failed runs{aggregates}. So they show this preset too well: runs that go badly fail first."
    ]


def _seed_notes(scores: Scores, preset: str) -> list[str]:
    seeds, failed = scores.whole_seeds(preset), scores.failed_seeds(preset)
    notes = []
    if waits := [seed for seed in scores.plan.seeds if seed not in seeds and seed not in failed]:
        without = "there is no aggregate yet" if not seeds else "the aggregates are without"
        notes.append(f"`{preset}`: not all games are finished yet with seed(s) {_listed(waits)}; {without}.")
    if len(seeds) == 1:
        notes.append(f"`{preset}`: one whole seed, so nothing can be said of how far another one would differ.")
    elif 1 < len(seeds) < FEW_SEEDS:
        notes.append(f"`{preset}`: {len(seeds)} whole seeds; bootstrap intervals of so few are rough, and too narrow.")
    return notes


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
