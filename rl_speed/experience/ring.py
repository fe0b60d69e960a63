"""The replay's memory: a ring of single uint8 frames, and all work on it that a GPU can do by itself.

A place p, 0..T-1, is one env step of all E envs; what follows a slot (p, e) is at (p + 1 mod T, e). Nothing here
depends on how much is written: what changes with time comes in as tensors, so that the work can be captured.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rl_speed.learner.td import n_step_return

COLUMNS = ("frame", "is_first", "action", "reward", "terminated", "truncated")  # of a rollout


@dataclass(frozen=True)
class Span:
    """What a draw depends on, as it is now; float64 [] each.

    Attributes:
        first: the oldest row that can be drawn.
        rows: how many can be drawn from there on.
        gamma: discount of one step.
        importance_exponent: of the importance weights.
    """

    first: Tensor
    rows: Tensor
    gamma: Tensor
    importance_exponent: Tensor


class Ring:
    """Memory for T env steps of E envs.

    Args:
        shape: (T, E, H, W).
        frame_stack: K, frames of an observation.
        device: where it is kept and samples are gathered.
        pin_memory: page-locked host memory, for faster copies to a GPU.
    """

    def __init__(
        self, shape: tuple[int, int, int, int], frame_stack: int, device: torch.device, pin_memory: bool = False
    ) -> None:
        self.steps, self.num_envs, height, width = shape
        self._frame_stack, self._pin_memory = frame_stack, pin_memory
        slots = (self.steps, self.num_envs)
        # A row for each slot, and a last one that stays zero: what an observation shows from before its episode.
        self._image = torch.zeros(
            (self.steps * self.num_envs + 1, height * width), dtype=torch.uint8, device=device, pin_memory=pin_memory
        )
        self.device = self._image.device
        self.frame = self._image[:-1].view(shape)
        self.is_first = torch.zeros(slots, dtype=torch.bool, device=device)
        self.action = torch.zeros(slots, dtype=torch.int64, device=device)
        self.reward = torch.zeros(slots, dtype=torch.float32, device=device)
        self.terminated = torch.zeros(slots, dtype=torch.bool, device=device)
        self.truncated = torch.zeros(slots, dtype=torch.bool, device=device)
        # Raised to the exponent already. 0: never drawn.
        self.priority = torch.zeros(slots, dtype=torch.float32, device=device)
        # Sum of each row's priorities, kept up to date: a sum over the whole ring was a third of a draw. float64: a
        # float32 sum over a million slots loses the small priorities.
        self.row_priority = torch.zeros(self.steps, dtype=torch.float64, device=device)

    def write(self, before: Tensor, place: Tensor, *columns: Tensor) -> tuple[Tensor, ...]:
        """Writes rows over whatever is there, with a priority of 1.

        Where the first one begins a game although the row before it ended none, games were started anew in between
        (a resumed run, a lost actor): that row is marked truncated, so that no window reaches across.

        Args:
            before: int64 [1], the place before the first one; [0]: nothing is written yet.
            place: int64 [T'], all different.
            columns: [T', E, ...] each, as COLUMNS names them.
        """
        column = dict(zip(COLUMNS, columns, strict=True))
        self.truncated[before] |= column["is_first"][:1] & ~self.terminated[before]
        for name, rows in column.items():
            getattr(self, name).index_copy_(0, place, rows)
        self.priority.index_fill_(0, place, 1.0)
        self.row_priority.index_fill_(0, place, float(self.num_envs))
        return ()

    def draw_by_priority(self, span: Span, jitter: Tensor, order: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Stratified draws in proportion to priority.

        Two levels: first a row by the sum of its envs, then an env of it. That is one cumulative sum over T rows
        and B over E, where a flat one would run over T*E slots.

        Args:
            span: what can be drawn.
            jitter: float64 [B], uniform in 0..1, where in its stratum a draw lies.
            order: int64 [B], a permutation, so that a minibatch holds draws from all over the ring.

        Returns:
            place and env, int64 [B] each, and the importance weights float32 [B].

        Source: Schaul et al. 2016, sections 3.3 and 3.4.
        Differs: a new slot has priority 1 instead of the highest so far; 0.01 is added to every error.
        """
        count, row = len(jitter), torch.arange(self.steps, device=self.device)
        row_place = (span.first.to(torch.int64) + row) % self.steps
        row_sum = torch.where(row < span.rows, self.row_priority[row_place], 0.0).cumsum(0)  # [T]
        total = row_sum[-1]
        stratum = torch.arange(count, device=self.device, dtype=torch.float64)
        mass = ((stratum + jitter) / count * total)[order]
        chosen = torch.minimum(torch.searchsorted(row_sum, mass), span.rows.to(torch.int64) - 1)
        place = row_place[chosen]
        within = self.priority[place].to(torch.float64).cumsum(1)  # [B, E]
        rest = (within[:, -1] - (row_sum[chosen] - mass)).clamp(min=0.0)
        env = torch.searchsorted(within, rest[:, None]).squeeze(1).clamp(max=self.num_envs - 1)
        probability = self.priority[place, env] / total
        weight = (probability * span.rows * self.num_envs).clamp(min=1e-12) ** -span.importance_exponent
        return place, env, (weight / weight.max()).to(torch.float32)

    def gather(self, place: Tensor, env: Tensor, window: Tensor, gamma: Tensor) -> dict[str, Tensor]:
        """Everything about slots but how they were drawn.

        Args:
            place: int64 [B].
            env: int64 [B].
            window: int64 [n], 0..n-1, the steps of a return.
            gamma: float64 [], discount of one step.

        Returns:
            The fields of a Batch, [B, ...] each.
        """
        steps = (place[:, None] + window) % self.steps  # [B, n]
        column = env[:, None]
        terminated = self.terminated[steps, column]
        truncated = self.truncated[steps, column]
        # A truncated step's next observation is gone, so the window ends before it and bootstraps there.
        length = (truncated.cumsum(1) == 0).sum(1)  # [B], 0..n
        total, discount = n_step_return(self.reward[steps, column], terminated, length, gamma)
        return {
            "observation": self._stack(place, env),
            "action": self.action[place, env],
            "n_step_return": total,
            "bootstrap_discount": discount,
            "next_observation": self._stack((place + length) % self.steps, env),
            "is_valid": length > 0,
        }

    def _stack(self, place: Tensor, env: Tensor) -> Tensor:
        """Observations at (place, env): uint8 [B, K, H, W]; frames from before the episode's start are zero."""
        back = torch.arange(self._frame_stack - 1, -1, -1, device=self.device)  # [K], oldest frame first
        slot = (place[:, None] - back) % self.steps * self.num_envs + env[:, None]  # [B, K]
        # A frame is of an earlier episode if a later one of the stack begins one.
        is_first = self.is_first.flatten()[slot]
        begun = is_first.flip(1).cumsum(1).flip(1) - is_first.to(torch.int64)  # [B, K], episodes begun after the frame
        row = slot.masked_fill(begun > 0, len(self._image) - 1)
        # Of flat rows index_select copies whole frames, 18 times faster than indexing by (place, env).
        stacked = self._image.index_select(0, row.flatten())  # [B*K, H*W]
        if self._pin_memory:
            stacked = stacked.pin_memory()
        return stacked.view(len(place), -1, *self.frame.shape[2:])

    def set_priority(self, index: Tensor, priority: Tensor) -> tuple[Tensor, ...]:
        """Sets the priorities of slots.

        Args:
            index: int64 [B], place times E plus env.
            priority: float32 [B], raised to the exponent already.
        """
        place = index // self.num_envs
        self.priority[place, index % self.num_envs] = priority
        # Summed anew, not by differences: a slot may be drawn twice, and rounding would pile up.
        self.row_priority[place] = self.priority[place].sum(1, dtype=torch.float64)
        return ()

    def restore(self, column: dict[str, Tensor]) -> None:
        """Writes COLUMNS and the priority of the first rows, [rows, E, ...] each."""
        for name, tensor in column.items():
            getattr(self, name)[: len(tensor)] = tensor.to(self.device)
        self.row_priority.copy_(self.priority.sum(1, dtype=torch.float64))

    def frame_sums(self, rows: int) -> Tensor:
        """Of the first rows: sums of the frames and of their squares, and how many, float64 [3, H, W]."""
        sums = torch.zeros((3, *self.frame.shape[2:]), device=self.device, dtype=torch.float64)
        for start in range(0, rows, 64):
            chunk = self.frame[start : min(start + 64, rows)].to(torch.float64).flatten(0, 1)
            sums[0] += chunk.sum(0)
            sums[1] += chunk.square().sum(0)
        sums[2] = rows * self.num_envs
        return sums
