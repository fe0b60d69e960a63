"""The one definition of what an observation is.

A frame is the grey screen of the emulator, the pixel maximum of the last two frames of an env step (if configured),
reduced to the configured size by area averaging, and cropped. An observation is the K newest frames of one episode,
oldest first; where the episode is younger than K frames, the missing ones are zero.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from rl_speed.config import EnvsConfig
from rl_speed.emulator.games import find_game
from rl_speed.system.arrays import UInt8Array


def resize_and_crop(screen: UInt8Array, config: EnvsConfig) -> UInt8Array:
    """Reduces one grey screen to a frame.

    Args:
        screen: uint8 [screen height, 160], grey levels.
        config: size and crop.

    Returns:
        uint8 [H, W].
    """
    size = (config.image_width, config.image_height)
    image: Any = cv2.resize(screen, size, interpolation=cv2.INTER_AREA)
    return crop(image, config)


def grey_screen(screen: UInt8Array) -> UInt8Array:
    """A screen as grey levels.

    Args:
        screen: uint8 [h, w], [h, w, 1] or [h, w, 3] (red, green, blue).

    Returns:
        uint8 [h, w].

    Raises:
        ValueError: it has another type or shape.
    """
    if screen.dtype != np.uint8 or not (screen.ndim == 2 or (screen.ndim == 3 and screen.shape[2] in (1, 3))):
        raise ValueError(f"a screen is uint8 [rows, columns] or [rows, columns, 3], not {screen.dtype} {screen.shape}")
    if screen.ndim == 2:
        return screen
    if screen.shape[2] == 1:
        grey: UInt8Array = screen[..., 0]
        return grey
    image: UInt8Array = np.asarray(cv2.cvtColor(screen, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return image


def crop(image: UInt8Array, config: EnvsConfig) -> UInt8Array:
    """Cuts the configured rows off; uint8 [..., image_height, W] -> uint8 [..., H, W], a view."""
    return image[..., config.crop_top : config.image_height - config.crop_bottom, :]


def push_frame(stack: Tensor, frame: Tensor, is_first: Tensor) -> Tensor:
    """The next observation of E envs.

    Args:
        stack: uint8 [E, K, H, W], the observations before.
        frame: uint8 [E, H, W], the newest frames.
        is_first: bool [E], the frame begins an episode: what was before it becomes zero.

    Returns:
        uint8 [E, K, H, W], new memory.
    """
    older = stack[:, 1:] * ~is_first[:, None, None, None]
    return torch.cat([older, frame[:, None]], dim=1)


def action_names(config: EnvsConfig) -> tuple[str, ...]:
    """ale-py's names of the agent's actions 0..A-1."""
    if not isinstance(config.actions, str):
        return config.actions
    game = find_game(config.game)
    return tuple(game.minimal_actions if config.actions == "minimal" else game.legal_actions)
