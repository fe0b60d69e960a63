"""A trained network to play with: screens in, actions out."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from rl_speed.config import RunConfig
from rl_speed.experience.envs.preprocessing import grey_screen, push_frame, resize_and_crop
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.system.arrays import UInt8Array


class Agent:
    """Acts on the screens of one game as the run did that it was trained in.

    Args:
        network: frozen Q-network, uint8 [B, K, H, W] -> q_value [B, A].
        config: the run, with nothing left to decide.
        action_names: of the actions 0..A-1; None where the env is not one of ale-py's.
        num_actions: A.
        epsilon: share of random actions.
        seed: of these.
    """

    def __init__(
        self,
        network: nn.Module,
        config: RunConfig,
        action_names: tuple[str, ...] | None,
        num_actions: int,
        epsilon: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.network, self.config, self.action_names = network, config, action_names
        self._policy = ExploringPolicy(network, num_actions, seed, use_bf16=config.update.uses_bf16)
        self._policy.epsilon = epsilon
        self._stack = torch.zeros((1, *config.envs.observation_shape), dtype=torch.uint8)
        self._is_first = torch.ones(1, dtype=torch.bool)

    def reset(self) -> None:
        """A new game begins with the next screen."""
        self._is_first = torch.ones(1, dtype=torch.bool)

    def __call__(self, screen: UInt8Array) -> int:
        """Chooses the action for one env step.

        Args:
            screen: uint8 [rows, columns] grey or [rows, columns, 3] red, green and blue, of any size: the newest
                screen of the game. Runs with `envs.max_pool` saw the pixel maximum of a step's last two screens.

        Returns:
            the action's number, 0..A-1.

        Raises:
            ValueError: it is no such array.
        """
        grey = grey_screen(np.asarray(screen))
        frame = torch.from_numpy(np.ascontiguousarray(resize_and_crop(grey, self.config.envs)))[None]
        self._stack = push_frame(self._stack, frame, self._is_first)
        self._is_first = torch.zeros(1, dtype=torch.bool)
        return int(self._policy.act(self._stack)[0])
