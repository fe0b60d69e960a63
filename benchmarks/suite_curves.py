"""Draws the training returns of suites against wall time into one picture, a panel for each game.

    python benchmarks/suite_curves.py FOLDER ... --out curves.svg

Each line is one run's mean of the last 20 training games, with their exploration; dotted lines are random play and the
human tester. matplotlib comes with the extra `bench`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rl_speed.suite.curves import running_mean
from rl_speed.suite.folder import RunKey
from rl_speed.suite.plan import read_plan
from rl_speed.suite.record import Episodes
from rl_speed.suite.reference import reference_scores
from rl_speed.suite.scores import read_games
from rl_speed.system.errors import UserError

COLORS = ("#0072b2", "#999999", "#d55e00", "#009e73", "#cc79a7")  # one for each preset
COLUMNS = 2

Games = dict[RunKey, Episodes]


def games_of(text: str) -> Games:
    """The training games of a suite's runs."""
    folder = Path(text)
    try:
        plan = read_plan(folder)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if plan is None:
        raise argparse.ArgumentTypeError(f"{text} holds no suite")
    games = read_games(folder, plan.runs())
    games = {key: episodes for key, episodes in games.items() if episodes.returns}
    if not games:
        raise argparse.ArgumentTypeError(f"{text} holds no run that has finished a game")
    return games


def draw(axes: Any, game: str, runs: Games, colors: dict[str, str]) -> None:
    """One game's panel."""
    named: set[str] = set()
    for key, episodes in runs.items():
        minutes, means = np.asarray(episodes.seconds) / 60, running_mean(np.asarray(episodes.returns))
        label = None if key.preset in named else key.preset
        named.add(key.preset)
        axes.plot(minutes, means, color=colors[key.preset], linewidth=1, label=label)
    for name, level in zip(("random", "human"), reference_scores().get(game, ()), strict=False):
        axes.axhline(level, color="black", linewidth=0.5, linestyle=":")
        axes.annotate(name, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7)
    axes.set(title=game, xlabel="minutes", xlim=(0, None))
    axes.legend(loc="upper left", frameon=False, fontsize=8)


def main(words: list[str] | None = None) -> None:
    """See above; bad arguments end with a sentence and status 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("suites", nargs="+", metavar="FOLDER", type=games_of, help="of suites")
    parser.add_argument("--out", type=Path, required=True, help="picture: .svg or .png")
    arguments = parser.parse_args(words)
    runs: Games = {}
    for suite in arguments.suites:
        if twice := [key for key in suite if key in runs]:
            parser.error(f"{twice[0]} is in two of these suites; name one of them")
        runs |= suite
    games, presets = (list(dict.fromkeys(getattr(key, name) for key in runs)) for name in ("game", "preset"))
    if len(presets) > len(COLORS):
        parser.error(f"{len(presets)} presets are too many to tell apart; name suites of at most {len(COLORS)}")
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        parser.error("matplotlib is not installed; install it with pip install 'rl-speed[bench]'")
    rows = -(-len(games) // COLUMNS)
    figure, panels = plt.subplots(rows, COLUMNS, figsize=(8, 2.6 * rows), layout="constrained", squeeze=False)
    for axes, game in zip(panels.flat, games, strict=False):
        of_game = {key: episodes for key, episodes in runs.items() if key.game == game}
        draw(axes, game, of_game, dict(zip(presets, COLORS, strict=False)))
    for axes in panels.flat[len(games) :]:
        axes.axis("off")
    try:
        figure.savefig(arguments.out)
    except (OSError, ValueError) as error:
        parser.error(f"--out {arguments.out} cannot be written ({error}); name an .svg or .png in a folder that exists")


if __name__ == "__main__":
    main(sys.argv[1:])
