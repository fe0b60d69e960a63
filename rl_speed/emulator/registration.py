"""The games under Gymnasium's names: rl_speed/Pong-v5 and 103 others, made like ale-py's ALE/Pong-v5."""

from __future__ import annotations

import re
from typing import Any

import gymnasium

from rl_speed.emulator.games import game_names

NAMESPACE = "rl_speed"
# As ale-py registers its own: Machado et al. 2018, section 5.
V5_ARGUMENTS: dict[str, Any] = {
    "repeat_action_probability": 0.25,
    "full_action_space": False,
    "frameskip": 4,
    "max_num_frames_per_episode": 108_000,
}


def env_id(game: str) -> str:
    """Gymnasium's name of a game: "rl_speed/SpaceInvaders-v5" of "space_invaders"."""
    words = (word.upper() if word[0].isdigit() else word.capitalize() for word in game.split("_"))
    return f"{NAMESPACE}/{''.join(words)}-v5"


def game_of_id(name: str) -> str | None:
    """The game that Gymnasium's or ale-py's name means: "ALE/MsPacman-v5" and "PongNoFrameskip-v4"; None of others."""
    match = re.fullmatch(r"(?:ale_py:)?(?:(?:ALE|rl_speed)/)?(\w+?)(?:-ram)?(?:Deterministic|NoFrameskip)?-v\d+", name)
    if match is None:
        return None
    by_name = {env_id(game).partition("/")[2].partition("-")[0]: game for game in game_names()}
    return by_name.get(match[1])


def register_games() -> None:
    """Registers every game, for gymnasium.make and gymnasium.make_vec."""
    for game in game_names():
        gymnasium.register(
            env_id(game),
            entry_point="rl_speed.emulator.atari_env:AtariEnv",
            vector_entry_point="rl_speed.emulator.vector_env:AtariVectorEnv",
            kwargs={"game": game, **V5_ARGUMENTS},
        )
