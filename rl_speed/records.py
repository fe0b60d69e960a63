"""The records that travel along the line: the only place where shapes, dtypes and axes are defined.

Legend: E envs, T rollout length in env steps, B batch, K stacked frames, N gradient steps per batch, H rows,
W columns, A actions. An axis in front of another is the slower one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(frozen=True)
class EnvStep:
    """What E envs answer to one action each, on the envs' device.

    Where an episode ended, `frame` is already the first one of the next episode (SAME_STEP auto-reset), while
    `reward`, `terminated` and `truncated` belong to the episode that ended.
    """

    frame: Tensor  # uint8 [E, H, W], grey
    reward: Tensor  # float32 [E], raw: never clipped
    terminated: Tensor  # bool [E], the game is over
    truncated: Tensor  # bool [E], the time limit cut the game short
    life_lost: Tensor  # bool [E], a life was lost and the game goes on


@dataclass(frozen=True)
class EpisodeEnd:
    """One finished game."""

    env: int  # 0..E-1, over all processes
    episode_return: float  # sum of raw rewards
    episode_length_env_steps: int
    env_steps: int  # env steps of the run when it ended, all envs together


@dataclass(frozen=True)
class Rollout:
    """T consecutive env steps of E envs, as the replay stores them: single frames, no stacks."""

    frame: Tensor  # uint8 [T, E, H, W], newest frame of the observation that was acted on
    is_first: Tensor  # bool [T, E], that observation is the first one of an episode
    action: Tensor  # int64 [T, E]
    reward: Tensor  # float32 [T, E], as it is learned from (clipped if configured)
    terminated: Tensor  # bool [T, E], the return ends here: game over, or a lost life if configured
    truncated: Tensor  # bool [T, E], the time limit ended the episode here: the return would go on
    episode_ends: tuple[EpisodeEnd, ...]
    env_steps: int  # env steps of the run up to and including this rollout


@dataclass(frozen=True)
class Batch:
    """N minibatches of B transitions, one per gradient step; every shape is static."""

    observation: Tensor  # uint8 [N, B, K, H, W] (float32 if frames are converted before the transfer)
    action: Tensor  # int64 [N, B]
    n_step_return: Tensor  # float32 [N, B], discounted sum of up to n rewards
    bootstrap_discount: Tensor  # float32 [N, B], gamma^k after k summed rewards, 0 after a terminal step
    next_observation: Tensor  # as observation, k env steps later; arbitrary where the discount is 0
    is_valid: Tensor  # bool [N, B], False: nothing to bootstrap from, the sample has no loss
    weight: Tensor  # float32 [N, B], importance weight in 0..1; 1 under uniform sampling
    index: Tensor  # int64 [N, B], slot in the replay, to give the priorities back

    def to(self, device: str | object, non_blocking: bool = True) -> Batch:
        """The same batch on another device."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=non_blocking) for f in fields(self)}
        return Batch(**moved)

    def minibatch(self, n: int) -> Batch:
        """Minibatch n, without the axis N."""
        return Batch(**{f.name: getattr(self, f.name)[n] for f in fields(self)})

    def parts(self, sizes: list[int]) -> list[Batch]:
        """A minibatch cut along B into parts of so many samples, which add up to B; views."""
        cut = {f.name: getattr(self, f.name).split(sizes) for f in fields(self)}
        return [Batch(**{name: parts[number] for name, parts in cut.items()}) for number in range(len(sizes))]

    @property
    def gradient_steps(self) -> int:
        """N: gradient steps in this batch."""
        return int(self.action.shape[0])
