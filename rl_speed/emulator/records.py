"""What consoles say: of a step of all of them, and of one of them between two frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from rl_speed.system.arrays import BoolArray, Int32Array, UInt8Array

RESULTS = 10  # numbers of source/observe.h's StepResult


@dataclass
class Step:
    """What a step gives, one entry per console.

    Attributes:
        observation: [N, *observation_shape] uint8; after an end with reset_mode same_step, the next game's first.
        final_observation: the same, of the game that ended, where one did. The next step writes to it.
        reward: [N] int32, unclipped.
        lives: [N] int32.
        terminated, truncated: [N] bool.
        frame_number, episode_frame_number: [N] int32; frames since loading, and since the last reset.
        ended: [N] bool; the game did. With life_loss_ends `terminated` says so of a lost life, too.
        final_lives, final_frame_number, final_episode_frame_number: [N] int32; of the game that was played, where
            those above are the next one's.
    """

    observation: UInt8Array
    final_observation: UInt8Array
    reward: Int32Array
    lives: Int32Array
    terminated: BoolArray = field(repr=False)
    truncated: BoolArray = field(repr=False)
    frame_number: Int32Array = field(repr=False)
    episode_frame_number: Int32Array = field(repr=False)
    ended: BoolArray = field(repr=False)
    final_lives: Int32Array = field(repr=False)
    final_frame_number: Int32Array = field(repr=False)
    final_episode_frame_number: Int32Array = field(repr=False)

    def rows(self, consoles: np.ndarray[Any, Any]) -> Step:
        """A copy of some consoles' part of it."""
        return Step(**{entry.name: getattr(self, entry.name)[consoles] for entry in fields(self)})

    @staticmethod
    def joined(parts: Sequence[Step]) -> Step:
        """The consoles of one and then those of the next."""
        if len(parts) == 1:
            return parts[0]
        names = [entry.name for entry in fields(Step)]
        return Step(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def as_step(observation: UInt8Array, final_observation: UInt8Array, results: Int32Array) -> Step:
    """A step from what the C++ source has written; `results`, [N, RESULTS], is copied."""
    columns = results.T.copy()
    reward, lives, terminated, truncated, frame, episode_frame, ended, *final = columns
    return Step(
        observation, final_observation, reward, lives, terminated.astype(np.bool_), truncated.astype(np.bool_), frame,
        episode_frame, ended.astype(np.bool_), *final,
    )  # fmt: skip


@dataclass(frozen=True)
class ConsoleReadout:
    """What can be read from one console between two frames.

    Attributes:
        ram: [128] uint8.
        screen: [height, 160] uint8 palette values.
        reward: of the last frame.
        lives: as ale-py counts them.
        is_over: the game is over.
        frame, episode_frame: frames since loading, and since the last reset.
        registers: of the processor, and where the frame stands.
    """

    ram: UInt8Array
    screen: UInt8Array
    reward: int
    lives: int
    is_over: bool
    frame: int
    episode_frame: int
    registers: dict[str, int]
