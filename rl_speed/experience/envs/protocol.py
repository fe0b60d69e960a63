"""What every env backend offers: E games in lockstep."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from rl_speed.records import EnvStep
from rl_speed.system.arrays import UInt8Array


class VectorEnv(Protocol):
    """E copies of one game that take one action each per step.

    Auto-reset is SAME_STEP: the step in which a game ends already returns the first frame of the next one.
    `send` and `recv` split a step in two, so that the caller can work while the games run.
    """

    num_envs: int  # E
    num_actions: int  # A
    device: torch.device  # where actions are taken from, and where frames and all else that a step gives are

    def reset(self) -> Tensor:
        """Starts all games from their seeds; returns the first frames, uint8 [E, H, W]."""

    def send(self, action: Tensor) -> None:
        """Begins a step with int64 [E] actions in 0..A-1."""

    def recv(self) -> EnvStep:
        """Ends the step that `send` began."""

    def state_dict(self) -> dict[str, Any]:
        """What resumes, as tensors and numbers; not callable between `send` and `recv`. Empty: they cannot be saved."""

    def load_state_dict(self, state: dict[str, Any]) -> Tensor:
        """Restores what `state_dict` returned; returns the present frames, uint8 [E, H, W]."""

    def close(self) -> None:
        """Gives back what the games hold; may be called twice."""


class FilmedEnv(Protocol):
    """One env whose pictures are for people."""

    num_actions: int  # A

    @property
    def frames_per_second(self) -> int:
        """Of the video."""

    def start(self, seed: int | None) -> UInt8Array:
        """Starts a game; returns the first frame, uint8 [H, W]."""

    def play(self, action: int, screens: list[UInt8Array] | None = None) -> tuple[UInt8Array, float, bool, bool]:
        """Takes one env step; returns frame, raw reward, terminated and truncated, and adds pictures to `screens`."""

    def close(self) -> None:
        """Gives back what the game holds."""
