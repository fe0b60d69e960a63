"""ale-py's C++ vector env: emulation, preprocessing and threads in C++, one call per step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode
from torch import Tensor

from rl_speed.config import EnvsConfig
from rl_speed.emulator.games import find_game
from rl_speed.experience.envs.journal import SeedJournal
from rl_speed.experience.envs.preprocessing import action_names, crop
from rl_speed.records import EnvStep
from rl_speed.system.arrays import Int64Array, UInt8Array


class AleVectorEnv:
    """E games in ale-py's AtariVectorEnv.

    `send` returns at once and the games run on threads of their own until `recv`.

    Args:
        config: game and preprocessing.
        num_envs: E.
        journal: gives the seeds and notes the actions.
        threads: C++ threads, 1 or more.

    Source: ale-py 0.12, vector environments.
    """

    def __init__(self, config: EnvsConfig, num_envs: int, journal: SeedJournal, threads: int) -> None:
        self.num_envs, self.device = num_envs, torch.device("cpu")
        self._config = config
        game, names = find_game(config.game), action_names(config)
        opened = game.opened_actions(names)
        self._action_indices = np.array([opened.index(name) for name in names], dtype=np.int64)
        self.num_actions = len(names)
        self._journal = journal
        self._lives = np.zeros(num_envs, dtype=np.int64)
        self._env: AtariVectorEnv | None = AtariVectorEnv(
            config.game,
            num_envs=num_envs,
            num_threads=min(threads, num_envs),
            max_num_frames_per_episode=config.max_episode_frames,
            repeat_action_probability=config.sticky_probability,
            full_action_space=opened != game.minimal_actions,
            autoreset_mode=AutoresetMode.SAME_STEP,
            img_height=config.image_height,
            img_width=config.image_width,
            # Frames are stacked by the reader: a frame is copied out once, not K times.
            stack_num=1,
            frameskip=config.frame_skip,
            maxpool=config.max_pool,
            noop_max=config.noop_max,
            # A life lost is reported by us; ALE's episodic_life would restart the whole game.
            episodic_life=False,
            reward_clipping=False,
            use_fire_reset=config.fire_on_reset,
        )

    @property
    def _games(self) -> AtariVectorEnv:
        assert self._env is not None, "the env is closed"
        return self._env

    def reset(self) -> Tensor:
        """See VectorEnv."""
        return torch.from_numpy(self._reset())

    def _reset(self) -> UInt8Array:
        observation, info = self._games.reset(seed=self._journal.current_seeds())
        self._lives = info["lives"].astype(np.int64)
        return self._frames(observation)

    def send(self, action: Tensor) -> None:
        """See VectorEnv."""
        self._journal.record(action.numpy())
        self._games.send(self._action_indices[action.numpy()])

    def recv(self) -> EnvStep:
        """See VectorEnv."""
        observation, reward, terminated, truncated, info = self._games.recv()
        frame = self._frames(observation)
        lives = info["lives"].astype(np.int64)
        is_over = terminated | truncated
        life_lost = (lives < self._lives) & (lives > 0) & ~is_over
        wants_seed = self._journal.wants_fresh_seed(is_over)
        if wants_seed.any():
            seeds = np.array([self._journal.start_fresh(int(i)) for i in np.flatnonzero(wants_seed)])
            self._start_from(wants_seed, seeds, frame, lives)
        self._lives = lives
        flags = (terminated.astype(np.bool_), truncated.astype(np.bool_), life_lost)
        return EnvStep(*(torch.from_numpy(array) for array in (frame, reward.astype(np.float32), *flags)))

    def _start_from(
        self,
        mask: np.ndarray[Any, np.dtype[np.bool_]],
        seeds: Int64Array,
        frame: UInt8Array,
        lives: Int64Array,
    ) -> None:
        """Starts the masked envs from seeds; puts their first frames and lives into `frame` and `lives`."""
        observation, info = self._games.reset(seed=seeds, options={"reset_mask": mask})
        frame[mask] = self._frames(observation)[mask]
        lives[mask] = info["lives"][mask]

    def _frames(self, observation: UInt8Array) -> UInt8Array:
        # [E, 1, image_height, W] -> [E, H, W]; a copy, since ale-py may use its memory again.
        frames: UInt8Array = crop(observation[:, 0], self._config).copy()
        return frames

    def state_dict(self) -> dict[str, Any]:
        """See VectorEnv."""
        return {"journal": self._journal.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> Tensor:
        """See VectorEnv; takes as long as playing the journals' actions again.

        The envs step in lockstep but their journals differ in length, so each is started from its seed when just
        as many steps are left as its journal is long.
        """
        self._journal.load_state_dict(state["journal"])
        lengths = self._journal.lengths()
        total = int(lengths.max())
        seeds = self._journal.current_seeds()
        frame = self._reset()
        lives = self._lives
        for step in range(total + 1):
            starts_now = lengths == total - step
            if step > 0 and starts_now.any():
                self._start_from(starts_now, seeds[starts_now], frame, lives)
            if step == total:
                break
            action = np.zeros(self.num_envs, dtype=np.int64)
            for env in np.flatnonzero(lengths >= total - step):
                action[env] = self._journal.actions(int(env))[step - total + int(lengths[env])]
            self._games.send(self._action_indices[action])
            observation, _, _, _, info = self._games.recv()
            frame, lives = self._frames(observation), info["lives"].astype(np.int64)
        self._lives = lives
        return torch.from_numpy(frame)

    def close(self) -> None:
        """See VectorEnv."""
        if self._env is not None:
            self._env.close()
            self._env = None
