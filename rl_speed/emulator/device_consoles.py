"""Consoles on a GPU behind the methods that AtariVectorEnv plays on: what they say is tensors, which stay there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_speed.emulator.cuda import CudaConsoles
from rl_speed.emulator.games import Game
from rl_speed.emulator.records import Step
from rl_speed.emulator.settings import ConsoleSettings
from rl_speed.system.arrays import BoolArray, Int64Array, UInt8Array


class DeviceConsoles:
    """N consoles on the current CUDA device; see Consoles for what the methods do.

    A step only queues kernels, so the caller works on while games run; whoever needs a value on the host waits.

    Args:
        game: the game.
        num_consoles: N, 1 to 65,536.
        settings: how it is played.

    Raises:
        UserError: a number of consoles or a setting that cannot be, too little memory, or no CUDA.
    """

    def __init__(self, game: Game, num_consoles: int, settings: ConsoleSettings) -> None:
        self._consoles = CudaConsoles(game, num_consoles, settings)
        self.action_names, self.device = self._consoles.action_names, self._consoles.device
        self._is_same_step = settings.reset_mode == "same_step"
        shape = (num_consoles, settings.frame_stack, *settings.frame_shape)
        self._stack = torch.zeros(shape, dtype=torch.uint8, device=self.device)
        self._is_over = torch.zeros(num_consoles, dtype=torch.bool, device=self.device)

    @staticmethod
    def is_tensor(actions: Any) -> bool:
        """Whether these are tensors, which may be on the device."""
        return isinstance(actions, Tensor)

    def seed(self, seeds: Int64Array, mask: BoolArray | None = None) -> Step:
        """See Consoles."""
        return self._started(self._consoles.seed(torch.from_numpy(seeds), self._tensor(mask)), mask)

    def reset(self, mask: BoolArray | None = None) -> Step:
        """See Consoles."""
        return self._started(self._consoles.reset(self._tensor(mask)), mask)

    def show(self) -> Step:
        """See Consoles."""
        self._consoles.show()
        return self._said(self._stack.clone(), self._stack)

    def _tensor(self, mask: BoolArray | None) -> Tensor | None:
        return None if mask is None else torch.from_numpy(np.ascontiguousarray(mask)).to(self.device)

    def _started(self, frame: Tensor, mask: BoolArray | None) -> Step:
        stack = torch.zeros_like(self._stack)
        stack[:, -1] = frame
        chosen = self._tensor(mask)
        self._stack = stack if chosen is None else torch.where(chosen[:, None, None, None], stack, self._stack)
        self._is_over = self._is_over & ~chosen if chosen is not None else torch.zeros_like(self._is_over)
        return self._said(self._stack.clone(), self._stack)

    def step(self, actions: Any, paddle_steps: Any = None) -> Step:
        """See Consoles; the actions may be a tensor on the device, whose values are not looked at: none is a NOOP."""
        chosen = torch.as_tensor(actions, dtype=torch.int64, device=self.device).contiguous()
        steps = None if paddle_steps is None else torch.as_tensor(paddle_steps, dtype=torch.int32, device=self.device)
        self._consoles.step(chosen, steps)
        ended = self._consoles.results[:, 6].bool()
        older = self._stack[:, 1:]
        final = self._stack
        if self._is_same_step:
            final = torch.cat([older, self._consoles.final_observation[:, None]], 1)
            # States may have been loaded of games that were over already.
            starts, self._is_over = ended | self._is_over, torch.zeros_like(self._is_over)
        else:
            starts, self._is_over = self._is_over, ended
        goes_on = (~starts).to(torch.uint8)[:, None, None, None]
        self._stack = torch.cat([older * goes_on, self._consoles.observation[:, None]], 1)
        return self._said(self._stack.clone(), final)

    def send(self, actions: Any, paddle_steps: Any = None) -> None:
        """See Consoles."""
        self._sent = self.step(actions, paddle_steps)

    def recv(self) -> Step:
        """See Consoles."""
        return self._sent

    def _said(self, observation: Tensor, final: Tensor) -> Step:
        columns: list[Any] = list(self._consoles.results.clone().unbind(1))
        for flag in (2, 3, 6):  # terminated, truncated, ended
            columns[flag] = columns[flag].bool()
        shown: list[Any] = [observation, final]
        return Step(*shown, *columns)

    def save(self, consoles: Int64Array | None = None) -> dict[str, UInt8Array]:
        """See Consoles; in main memory, and fit for consoles on the CPU."""
        saved = self._consoles.save("cpu", consoles)
        if self._stack.shape[1] > 1:
            saved["stack"] = self._stack[self._rows(consoles)].flatten(1).cpu()
        return {name: tensor.numpy() for name, tensor in saved.items()}

    def restore(self, state: Mapping[str, UInt8Array], consoles: Int64Array | None = None) -> None:
        """See Consoles."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state.items()}
        self._consoles.restore(tensors, consoles)
        frame, rows = self._consoles.show(), self._rows(consoles)
        self._is_over = self._consoles.results[:, 6].bool()
        shape = (-1, *self._stack.shape[1:])
        newest = frame[rows].reshape(shape) if self._stack.shape[1] == 1 else tensors["stack"].reshape(shape)
        self._stack[rows] = newest.to(self.device)

    def _rows(self, consoles: Int64Array | None) -> Any:
        """Numbers of consoles, or all of them, as an index."""
        return slice(None) if consoles is None else torch.from_numpy(consoles).to(self.device)

    # --- what only consoles on the CPU need ---

    def upgrade(self, wait: bool = False) -> bool:
        """Compiled blocks run from the beginning."""
        return True

    def close(self) -> None:
        """Torch gives the memory back with the last reference."""
