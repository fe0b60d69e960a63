"""Small envs that this module registers when it is imported, as `tests.registered_envs:Grey-v0` and so on."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.error import DependencyNotInstalled


class Walk(gymnasium.Env[Any, Any]):
    """Places in a row, shown as a white bar; a step to the right end gives 1. Actions are numbered from 3 on."""

    metadata: ClassVar[Any] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, shape: Any = (30, 40), length: int = 6, render_mode: str | None = None) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, tuple(shape), np.uint8)
        self.action_space: Any = gymnasium.spaces.Discrete(2, start=3)
        self.render_mode, self.length, self.place = render_mode, length, 0

    def _picture(self, shape: Any) -> np.ndarray[Any, Any]:
        picture = np.zeros(shape, dtype=np.uint8)
        picture[:, 4 * self.place : 4 * self.place + 4] = 255
        return picture

    def _observation(self) -> Any:
        return self._picture(self.observation_space.shape)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place = 1
        return self._observation(), {}

    def step(self, action: int) -> Any:
        assert action in (3, 4)
        self.place = max(self.place + (1 if action == 4 else -1), 0)
        is_there = self.place == self.length - 1
        return self._observation(), float(is_there), is_there, False, {}

    def render(self) -> Any:
        return self._picture((36, 50, 3))


class Numbers(Walk):
    """The same, observed as a number; only what it renders is an image."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.observation_space = gymnasium.spaces.Box(0, 100, (1,), np.float32)

    def _observation(self) -> Any:
        return np.array([self.place], dtype=np.float32)


class Blind(Numbers):
    metadata: ClassVar[Any] = {"render_modes": []}


class Silent(Walk):
    """It cannot render, and does not even take the argument."""

    metadata: ClassVar[Any] = {"render_modes": []}

    def __init__(self) -> None:
        super().__init__()


class Steered(Walk):
    """Continuous unless it is asked not to be."""

    def __init__(self, continuous: bool = True, **arguments: Any) -> None:
        super().__init__(**arguments)
        if continuous:
            self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)


class Lying(Walk):
    """Its observations are not what its space says."""

    def _observation(self) -> Any:
        return super()._observation().astype(np.float32)


class Breaking(Walk):
    """Its steps fail, after some."""

    def __init__(self, steps: int = 150) -> None:
        super().__init__()
        self.left = steps

    def step(self, action: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ZeroDivisionError("a step of Breaking")
        return super().step(action)


class Unseen(Numbers):
    """It says that it renders, and gives what is no picture, or fails."""

    def __init__(self, picture: Any = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.picture, self.observation_space = picture, gymnasium.spaces.Box(0, 255, (30, 40), np.uint8)

    def _observation(self) -> Any:
        return self._picture(self.observation_space.shape)

    def render(self) -> Any:
        if self.picture == "fails":
            raise RuntimeError("no screen")
        return self.picture


MADE: list[str | None] = []  # render modes of the Counted ones, in the order in which they were made


class Counted(Numbers):
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        MADE.append(self.render_mode)


def failing(error: Exception, **_: Any) -> Walk:
    """Makes nothing."""
    raise error


register = partial(gymnasium.register, disable_env_checker=True)
for name, maker in {
    "Grey": Walk, "Numbers": Numbers, "Blind": Blind, "Silent": Silent, "Steered": Steered, "Lying": Lying,
    "Breaking": Breaking, "Unseen": Unseen, "Counted": Counted,
    "Refusing": partial(failing, ValueError("a name that nobody knows")),
    "Lacking": partial(failing, DependencyNotInstalled("boxes are not installed, run `pip install boxes`")),
    "Unreadable": partial(failing, SyntaxError("invalid syntax (boxes.py, line 3)")),
    "Missing": partial(failing, ModuleNotFoundError("No module named 'boxes'")),
}.items():  # fmt: skip
    register(f"{name}-v0", entry_point=maker, max_episode_steps=30)
register("Renewed-v2", entry_point=Walk)
register("Colour-v0", entry_point=Walk, max_episode_steps=30, kwargs={"shape": (30, 40, 3)})
