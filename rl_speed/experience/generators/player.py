"""One process's share of playing: acts, steps its envs, and writes rollouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs.preprocessing import push_frame
from rl_speed.experience.envs.protocol import VectorEnv
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.records import EnvStep, EpisodeEnd, Rollout
from rl_speed.system.stage_timer import StageTimer


@dataclass(frozen=True)
class RolloutSpace:
    """Preallocated tensors of one rollout; the fields are those of `Rollout`."""

    frame: Tensor  # uint8 [T, E, H, W]
    is_first: Tensor  # bool [T, E]
    action: Tensor  # int64 [T, E]
    reward: Tensor  # float32 [T, E]
    terminated: Tensor  # bool [T, E]
    truncated: Tensor  # bool [T, E]

    @classmethod
    def allocate(
        cls, steps: int, num_envs: int, config: EnvsConfig, *leading: int, device: torch.device | str = "cpu"
    ) -> RolloutSpace:
        """New memory on `device` for rollouts of `steps` env steps, with `leading` axes in front.

        The frames begin as 255 and the rewards as NaN, so that memory that nobody wrote shows.
        """
        shape = (*leading, steps, num_envs)
        return cls(
            frame=torch.full((*shape, config.frame_height, config.image_width), 255, dtype=torch.uint8, device=device),
            is_first=torch.zeros(shape, dtype=torch.bool, device=device),
            action=torch.full(shape, -1, dtype=torch.int64, device=device),
            reward=torch.full(shape, torch.nan, device=device),
            terminated=torch.zeros(shape, dtype=torch.bool, device=device),
            truncated=torch.zeros(shape, dtype=torch.bool, device=device),
        )

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name."""
        return dict(vars(self))

    def part(self, *index: Any) -> RolloutSpace:
        """A view of every field at the same index."""
        return RolloutSpace(**{name: tensor[index] for name, tensor in self.tensors().items()})

    def rollout(self, episode_ends: tuple[EpisodeEnd, ...], env_steps: int) -> Rollout:
        """This memory as a record."""
        return Rollout(**self.tensors(), episode_ends=episode_ends, env_steps=env_steps)


class Player:
    """Plays E envs with a policy, one env step at a time.

    A step is `begin` (act, and set the games going) and `finish` (wait for them, and write the transition). Between
    the two the games may run on their own threads. The actions of a step are chosen right after the step before
    arrived, so a gradient step taken in between acts one env step later.

    Args:
        env: E games.
        policy: chooses the actions.
        config: episodic life and reward clipping.
        first_env: number of this player's first env among the envs of the run.
        timer: charged with act and env.
    """

    def __init__(
        self,
        env: VectorEnv,
        policy: ExploringPolicy,
        config: EnvsConfig,
        first_env: int,
        timer: StageTimer,
    ) -> None:
        self._env, self._policy, self._config = env, policy, config
        self._first_env, self._timer = first_env, timer
        self._frame = env.reset()  # uint8 [E, H, W]
        num_envs, height, width = self._frame.shape
        self._is_first = torch.ones(num_envs, dtype=torch.bool, device=env.device)
        self._stack = torch.zeros((num_envs, config.frame_stack, height, width), dtype=torch.uint8, device=env.device)
        self._return = torch.zeros(num_envs, dtype=torch.float64, device=env.device)
        self._length_env_steps = torch.zeros(num_envs, dtype=torch.int64, device=env.device)
        self._steps: list[Tensor] = []  # of the steps that `take_episode_ends` has not looked at: float64 [3, E]
        self._action: Tensor | None = None  # int64 [E], of the step that has begun
        self._arrived: EnvStep | None = None

    def begin(self) -> None:
        """Chooses actions for the present observation and sets the games going; once per step."""
        if self._action is not None:
            return
        with self._timer.measure("act"):
            self._stack = push_frame(self._stack, self._frame, self._is_first)
            action = self._policy.act(self._stack)
        with self._timer.measure("env"):
            self._env.send(action)
        self._action = action

    def finish(self, space: RolloutSpace, t: int) -> None:
        """Waits for the games and writes row `t` of `space`, memory of a rollout of E envs.

        Games on a GPU are not waited for: what is written is queued behind them.
        """
        assert self._action is not None, "finish without begin"
        if self._arrived is None:
            with self._timer.measure("env"):
                self._arrived = self._env.recv()
        step = self._arrived
        space.frame[t] = self._frame
        space.is_first[t] = self._is_first
        space.action[t] = self._action
        space.reward[t] = step.reward.clamp(-1, 1) if self._config.clip_reward else step.reward
        space.terminated[t] = step.terminated | step.life_lost if self._config.episodic_life else step.terminated
        space.truncated[t] = step.truncated
        is_over = step.terminated | step.truncated
        self._frame, self._is_first = step.frame, is_over
        self._action = self._arrived = None
        self._return += step.reward
        self._length_env_steps += 1
        self._steps.append(torch.stack([is_over.double(), self._return, self._length_env_steps.double()]))
        self._return.masked_fill_(is_over, 0.0)
        self._length_env_steps.masked_fill_(is_over, 0)

    def take_episode_ends(self, env_steps: int, stride: int) -> list[EpisodeEnd]:
        """The games that ended in the steps since the last call: one look at the device for all of them.

        Args:
            env_steps: env steps of the run before the first of these steps.
            stride: env steps of the run in each.
        """
        if not self._steps:
            return []
        with self._timer.measure("env"):
            steps = torch.stack(self._steps).cpu().numpy()  # [T, 3, E]
        self._steps = []
        return [
            EpisodeEnd(
                self._first_env + int(e), float(steps[t, 1, e]), int(steps[t, 2, e]), env_steps + (int(t) + 1) * stride
            )
            for t, e in np.argwhere(steps[:, 0])
        ]

    def state_dict(self) -> dict[str, Any]:
        """What resumes. A step that has begun is waited for first, and kept for the next `finish`."""
        if self._action is not None and self._arrived is None:
            self._arrived = self._env.recv()
        arrived = self._arrived
        return {
            "env": self._env.state_dict(),
            "policy": self._policy.state_dict(),
            "frame": self._frame.cpu(),
            "is_first": self._is_first.cpu(),
            "stack": self._stack.cpu(),
            "return": self._return.cpu().clone(),
            "length_env_steps": self._length_env_steps.cpu().clone(),
            "steps": [step.cpu() for step in self._steps],
            "action": None if self._action is None else self._action.cpu(),
            "arrived": None if arrived is None else {name: tensor.cpu() for name, tensor in vars(arrived).items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        device = self._env.device
        self._env.load_state_dict(state["env"])
        self._policy.load_state_dict(state["policy"])

        def own(tensor: Tensor) -> Tensor:
            return tensor.to(device, copy=True)  # what is read may lie in a mapped file

        self._frame, self._is_first, self._stack = (own(state[name]) for name in ("frame", "is_first", "stack"))
        self._return, self._length_env_steps = own(state["return"]), own(state["length_env_steps"])
        self._steps = [own(step) for step in state.get("steps", [])]
        self._action = None if state["action"] is None else own(state["action"])
        arrived = state["arrived"]
        self._arrived = None if arrived is None else EnvStep(**{name: own(tensor) for name, tensor in arrived.items()})

    def close(self) -> None:
        """Closes the games."""
        self._env.close()
