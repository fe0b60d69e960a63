"""Our own Atari 2600: the same frames as ale-py, bit for bit, from many consoles at once (docs/emulator.md).

import gymnasium
import rl_speed.emulator

envs = gymnasium.make_vec("rl_speed/Pong-v5", num_envs=64)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rl_speed.emulator.registration import register_games

if TYPE_CHECKING:
    from rl_speed.emulator.atari_env import AtariEnv
    from rl_speed.emulator.saved_states import SavedStates
    from rl_speed.emulator.vector_env import AtariVectorEnv

__all__ = ["AtariEnv", "AtariVectorEnv", "SavedStates"]
_MODULES = {"AtariEnv": "atari_env", "AtariVectorEnv": "vector_env", "SavedStates": "saved_states"}

register_games()


def __getattr__(name: str) -> Any:
    # Parts of the program need the facts about games, and no envs.
    if name in _MODULES:
        return getattr(import_module(f"rl_speed.emulator.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'rl_speed.emulator' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
