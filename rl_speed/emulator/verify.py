"""Compares the emulator with ale-py, frame by frame, and checks the hashes recorded in data/games.json."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rl_speed.emulator.consoles import Consoles, ConsoleSettings, Look
from rl_speed.emulator.games import Game, action_number, find_game, rom_path
from rl_speed.emulator.rules import ACTION_NUMBERS

_NAMES = {number: name for name, number in ACTION_NUMBERS.items()}


@dataclass(frozen=True)
class Verdict:
    """How a comparison ended.

    Attributes:
        game: its name.
        frames: that were compared.
        ends: game ends, each followed by a reset, within them.
        differences: what differed first, in words; empty if nothing did.
    """

    game: str
    frames: int
    ends: int
    differences: list[str] = field(default_factory=list)


def make_ale(
    game: Game,
    seed: int,
    sticky_probability: float,
    mode: int | None = None,
    difficulty: int | None = None,
    rom: str | None = None,
) -> Any:
    """An ale-py console with the game loaded."""
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setFloat("repeat_action_probability", sticky_probability)
    ale.loadROM(rom or str(rom_path(game)))
    if difficulty is not None:
        ale.setDifficulty(difficulty)
    if mode is not None:
        ale.setMode(mode)
    return ale


def first_difference(ale: Any, look: Look) -> list[str]:
    """What differs between ale-py's console and ours, in words."""
    found: list[str] = []
    ram = ale.getRAM()
    if not np.array_equal(ram, look.ram):
        at = int(np.flatnonzero(ram != look.ram)[0])
        found.append(f"RAM byte {at} is {look.ram[at]}, ale-py has {ram[at]}")
    screen = ale.getScreen()
    if screen.shape != look.screen.shape:
        found.append(f"the screen is {look.screen.shape}, ale-py's {screen.shape}")
    elif not np.array_equal(screen, look.screen):
        row, column = (int(place) for place in np.argwhere(screen != look.screen)[0])
        ours, theirs = look.screen[row, column], screen[row, column]
        found.append(f"the pixel at row {row}, column {column} is {ours}, ale-py has {theirs}")
    pairs = [
        ("game over", look.is_over, ale.game_over(with_truncation=False)),
        ("lives", look.lives, ale.lives()),
        ("frame number", look.frame, ale.getFrameNumber()),
        ("episode frame number", look.episode_frame, ale.getEpisodeFrameNumber()),
    ]
    found += [f"{name} is {ours}, ale-py has {theirs}" for name, ours, theirs in pairs if ours != theirs]
    return found


def verify(
    name: str,
    frames: int = 10_000,
    seed: int = 0,
    sticky_probability: float = 0.0,
    full_actions: bool = False,
    recompile: bool = True,
) -> Verdict:
    """Plays random actions on both and compares RAM, screen, reward, lives, end of game and frame counters.

    Args:
        name: of the game.
        frames: to play. A game that ends is reset.
        seed: of the actions, and of ale-py.
        sticky_probability: of both.
        full_actions: choose among all 18 actions instead of the game's own.
        recompile: see Consoles.
    """
    game = find_game(name)
    settings = ConsoleSettings(sticky_probability=sticky_probability)
    consoles = Consoles(game, settings=settings, recompile=recompile)
    try:
        consoles.load(seed=seed)
        ale = make_ale(game, seed, sticky_probability)
        return _compare(game, consoles, ale, frames, seed, full_actions)
    finally:
        consoles.close()


def _compare(game: Game, consoles: Consoles, ale: Any, frames: int, seed: int, full_actions: bool) -> Verdict:
    import ale_py

    actions = range(18) if full_actions else [action_number(action) for action in game.minimal_actions]
    chosen = np.random.default_rng(seed).choice(np.array(actions), frames)
    differences = first_difference(ale, consoles.look())
    if differences:
        return Verdict(game.name, 0, 0, [f"after loading: {text}" for text in differences])
    ends = 0
    for frame in range(frames):
        action = int(chosen[frame])
        theirs = ale.act(ale_py.Action(action))
        ours = consoles.act(action)
        look = consoles.look()
        differences = first_difference(ale, look)
        if ours != theirs:
            differences.append(f"the reward is {ours}, ale-py has {theirs}")
        if differences:
            where = f"frame {frame} (action {_NAMES[action]})"
            return Verdict(game.name, frame, ends, [f"{where}: {text}" for text in differences])
        if look.is_over:
            ends += 1
            ale.reset_game()
            consoles.reset_game()
            differences = first_difference(ale, consoles.look())
            if differences:
                return Verdict(game.name, frame, ends, [f"reset {ends}: {text}" for text in differences])
    return Verdict(game.name, frames, ends)


def golden(game: Game, consoles: Consoles) -> dict[str, Any]:
    """The hashes of RAM and screen that data/games.json records, played anew."""
    consoles.load(seed=0)
    look = consoles.look()
    found: dict[str, Any] = {"start": hashlib.sha256(look.ram.tobytes() + look.screen.tobytes()).hexdigest()[:16]}
    generator = np.random.RandomState(1)
    running = hashlib.sha256()
    actions = [action_number(name) for name in game.minimal_actions]
    reward_sum = ends = action = 0
    for frame in range(2000):
        if frame % 4 == 0:
            action = actions[generator.randint(len(actions))]
        reward_sum += consoles.act(action)
        look = consoles.look()
        running.update(look.ram.tobytes() + look.screen.tobytes())
        if frame == 99:
            found["f100"] = running.hexdigest()[:16]
        if look.is_over:
            ends += 1
            consoles.reset_game()
    return {**found, "f2000": running.hexdigest()[:16], "reward_sum": reward_sum, "ends": ends}
