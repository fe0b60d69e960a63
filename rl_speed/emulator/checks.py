"""What consoles on the CPU and on the GPU refuse, in the same words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rl_speed.emulator.compiler import source_texts
from rl_speed.emulator.games import Game
from rl_speed.emulator.settings import ConsoleSettings
from rl_speed.system.arrays import Int64Array, UInt8Array
from rl_speed.system.errors import UserError

MAX_CONSOLES = 65_536


def state_fingerprint(game: Game, settings: ConsoleSettings) -> UInt8Array:
    """What a saved state depends on, uint8 [32]: the game, its settings, and how a console lies in memory.

    Settings that say when a game ends and starts, and what is drawn for those who look, may differ.
    """
    draws = settings.draw_all and settings.observation == "ram"  # else nothing is drawn, and there are no pictures
    mode = game.facts["default_mode"] if settings.mode is None else int(settings.mode)
    settings = replace(
        settings, reset_mode="same_step", draw_all=draws, cache_starts=True, max_frames=1, mode=mode,
        difficulty=int(settings.difficulty),
    )  # fmt: skip
    layout = source_texts()["console.h"] + source_texts()["observe.h"] + game.rule_source()
    digest = hashlib.sha256(f"{game.name}\0{settings}\0{layout}".encode()).digest()
    return np.frombuffer(digest, dtype=np.uint8)


def check_state(state: Mapping[str, Any], fingerprint: UInt8Array, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raises UserError if a saved state does not fit consoles with this fingerprint and state of these shapes."""
    fits = np.array_equal(state.get("fingerprint", np.empty(0)), fingerprint) and all(
        name in state and tuple(state[name].shape) == shape for name, shape in shapes.items()
    )
    if not fits:
        raise UserError(
            "emulator state: it was saved by another version, or with another game, settings or number of consoles."
        )


def check_count(num_consoles: int) -> None:
    """Raises UserError if there cannot be so many."""
    if not 1 <= num_consoles <= MAX_CONSOLES:
        raise UserError(f"num_envs: {num_consoles} consoles cannot be run; give 1 to {MAX_CONSOLES:,}.")


def check_seeds(seeds: Int64Array, num_consoles: int) -> None:
    """Raises UserError if these are not one seed for each console."""
    if seeds.shape != (num_consoles,) or seeds.min() < 0 or seeds.max() > 2**32 - 1:
        raise UserError(f"seeds: {seeds.tolist()} must be {num_consoles} numbers from 0 to 2^32 - 1.")
