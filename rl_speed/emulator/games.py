"""The games: which there are, and the facts about each in data/games.json."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rl_speed.emulator.actions import ACTION_NAMES, ACTION_NUMBERS
from rl_speed.emulator.rules import rule_source
from rl_speed.emulator.tables import DATA
from rl_speed.system.errors import UserError

# ROMs that ale-py ships and refuses, or that end it.
NOT_FOR_ONE_PLAYER = ("combat", "joust", "maze_craze", "warlords")
CARTRIDGES = ("2K", "4K", "F8", "F8SC", "F6", "F6SC", "E0", "FE", "DPC")


@dataclass(frozen=True)
class Game:
    """A game and its facts.

    Attributes:
        name: as ale-py calls it, such as "space_invaders".
        facts: its entry in data/games.json.
    """

    name: str
    facts: dict[str, Any]

    @property
    def minimal_actions(self) -> list[str]:
        """Names of the actions that do anything, in ale-py's order."""
        names: list[str] = self.facts["minimal_actions"]
        return names

    @property
    def legal_actions(self) -> list[str]:
        """Names of all actions that the game takes, in ale-py's order: all 18, or those without FIRE."""
        takes_fire = not self.facts.get("actions_with_fire_act_as_noop", False)
        return [name for name in ACTION_NAMES if takes_fire or "FIRE" not in name]

    def opened_actions(self, names: Iterable[str]) -> list[str]:
        """The set of ale-py's that some actions are played from: the minimal one if it holds all of them."""
        return self.minimal_actions if set(names) <= set(self.minimal_actions) else self.legal_actions

    @property
    def modes(self) -> list[int]:
        """The modes that can be chosen."""
        modes: list[int] = self.facts["modes"]
        return modes

    @property
    def has_one_start(self) -> bool:
        """True if every reset of the game leads to the same state."""
        return bool(self.facts["distinct_starts_in_16_resets"] == 1)

    def defines(self) -> dict[str, int]:
        """The game's facts as macros of the C++ source."""
        facts = self.facts
        left, right = facts["controllers"]
        return {
            "CARTRIDGE": CARTRIDGES.index(facts["cart"]),
            "FIRST_LINE": facts["first_line"],
            "HEIGHT": facts["height"],
            "HMOVE_COMB": int(facts.get("hmove_comb", True)),
            "LEFT_PADDLES": int(left == "paddles"),
            "RIGHT_PADDLES": int(right == "paddles"),
            "SWAP_PADDLES": int(facts.get("swap_paddles", False)),
            "SWAP_PORTS": int(facts.get("swap_ports", False)),
            "PADDLE_MOST": facts.get("paddle_max", 790196),
            "FIRE_IS_NOOP": int(facts.get("actions_with_fire_act_as_noop", False)),
            "POWER_ON_DIFFICULTY": facts.get("power_on_difficulty", 0),
        }

    def rule_source(self) -> str:
        """The game's rule as C++."""
        return rule_source(self.facts)


@cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((DATA / "games.json").read_text())["games"]
    return facts


def game_names() -> list[str]:
    """All games, in alphabetical order."""
    return sorted(_facts())


def find_game(name: str) -> Game:
    """The game of that name.

    Raises:
        UserError: there is no such game.
    """
    facts = _facts()
    if not isinstance(name, str):
        raise UserError(f"game: {name!r} is no name; give one, e.g. 'pong'.")
    if name not in facts:
        if name in NOT_FOR_ONE_PLAYER:
            raise UserError(
                f"game: {name!r} is a ROM that cannot be played with one player; choose another, e.g. pong."
            )
        near = difflib.get_close_matches(name, facts, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(game_names())}."
        raise UserError(f"game: the emulator has no game {name!r}; {hint}")
    return Game(name, facts[name])


def action_number(name: str) -> int:
    """ale-py's number of an action's name."""
    return ACTION_NUMBERS[name]


def rom_path(game: Game) -> Path:
    """The game's ROM in the user's ale_py package."""
    import ale_py.roms

    return Path(str(ale_py.roms.get_rom_path(game.name)))


def read_rom(game: Game, path: Path | None = None) -> bytes:
    """The bytes of the game's ROM, which are checked.

    Args:
        game: the game.
        path: a file to read instead of the one in ale_py.

    Raises:
        UserError: there is no such file, or it holds another ROM.
    """
    path = path or rom_path(game)
    try:
        rom = path.read_bytes()
    except OSError as error:
        raise UserError(f"rom: {path} cannot be read ({error.strerror}); install ale-py again.") from error
    digest = hashlib.md5(rom).hexdigest()
    if digest != game.facts["md5"]:
        raise UserError(
            f"rom: {path} has MD5 {digest}, but {game.name} has {game.facts['md5']}; "
            "give the ROM that ale-py 0.12 ships."
        )
    return rom
