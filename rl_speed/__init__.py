"""rl_speed: train a DQN on Atari as fast as the machine allows, and see which speed-up paid.

import rl_speed

result = rl_speed.train("fast_cpu", {"stop.max_env_steps": 50_000}, seed=1)
print(rl_speed.evaluate(result.checkpoint, episodes=10).mean)
agent = rl_speed.load(result.checkpoint)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl_speed.api import Result, evaluate, export, load, play, train

__version__ = "0.1.0"
__all__ = ["Result", "evaluate", "export", "load", "play", "train"]


def __getattr__(name: str) -> Any:
    # Torch and Lightning take seconds to import; `import rl_speed` alone does not need them.
    if name in __all__:
        try:
            return getattr(import_module("rl_speed.api"), name)
        except ModuleNotFoundError as error:
            if error.name != "rl_speed.api":
                raise
            raise ImportError(f"rl_speed.{name}: the emulator alone is installed; `pip install rl-speed`") from None
    raise AttributeError(f"module 'rl_speed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
