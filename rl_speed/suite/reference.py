"""Lists of games, and the published scores by which a game's raw score is measured."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from rl_speed.emulator.games import find_game
from rl_speed.system.errors import ConfigError

# The subset whose scores tell most of all 57 games' median (Aitchison et al. 2023, Atari-5).
ATARI5 = ("battle_zone", "double_dunk", "name_this_game", "phoenix", "qbert")
# The games of the 100k benchmark (Kaiser et al. 2020, SimPLe).
ATARI26 = (
    "alien", "amidar", "assault", "asterix", "bank_heist", "battle_zone", "boxing", "breakout", "chopper_command",
    "crazy_climber", "demon_attack", "freeway", "frostbite", "gopher", "hero", "jamesbond", "kangaroo", "krull",
    "kung_fu_master", "ms_pacman", "pong", "private_eye", "qbert", "road_runner", "seaquest", "up_n_down",
)  # fmt: skip


@cache
def reference_scores() -> dict[str, tuple[float, float]]:
    """Raw scores of random play and of a human tester, by game.

    Source: see `source` in data/reference_scores.json.
    """
    path = Path(__file__).parent / "data" / "reference_scores.json"
    games: dict[str, list[float]] = json.loads(path.read_text(encoding="utf-8"))["games"]
    return {game: (random, human) for game, (random, human) in games.items()}


def human_normalised(game: str, score: float) -> float | None:
    """A raw score as a share of the way from random play (0) to the human tester (1); None without a reference."""
    if game not in reference_scores():
        return None
    random, human = reference_scores()[game]
    return (score - random) / (human - random)


def games_named(text: str) -> tuple[str, ...]:
    """The games of `--games`: names of lists and of games, apart by commas, each once.

    Raises:
        ConfigError: there is no such game or list.
    """
    lists = {"atari5": ATARI5, "atari26": ATARI26, "atari57": tuple(reference_scores())}
    games: list[str] = []
    for name in (part.strip() for part in text.split(",") if part.strip()):
        games += lists[name] if name in lists else [_game(name)]
    if not games:
        raise ConfigError(
            f"--games {text!r} names no game; give atari5, atari26, atari57 or names such as pong,breakout"
        )
    return tuple(dict.fromkeys(games))


def _game(name: str) -> str:
    try:
        return find_game(name).name
    except Exception as error:
        raise ConfigError(f"--games: {error}") from None
