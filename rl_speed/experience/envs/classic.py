"""The classic pipeline: one Python env at a time, with the preprocessing of Mnih 2015 done in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ale_py import ALEInterface, LoggerMode
from ale_py.env import AtariEnv
from torch import Tensor

from rl_speed.config import EnvsConfig
from rl_speed.emulator.games import find_game
from rl_speed.experience.envs.journal import SeedJournal
from rl_speed.experience.envs.preprocessing import action_names, resize_and_crop
from rl_speed.records import EnvStep
from rl_speed.system.arrays import Int64Array, UInt8Array

# ALE greets on standard error for every emulator.
ALEInterface.setLoggerMode(LoggerMode.Error)


class ClassicEnv:
    """One game on Gymnasium's AtariEnv, frame by frame.

    The order of events is that of ale-py's AtariVectorEnv, so that both give the same observations: at the start
    FIRE (where the game has it) and then no-ops; the last two frames of a step are captured (the last alone without
    max_pool, or where a step has only one) unless the game ends before. Sticky actions agree too, since the emulator
    gets the same seed.

    Source: Mnih et al. 2015, Methods, "Preprocessing"; Machado et al. 2018, section 5.
    """

    frames_per_second = 60  # of an NTSC console

    def __init__(self, config: EnvsConfig) -> None:
        self._config = config
        game, names = find_game(config.game), action_names(config)
        # Steps take numbers of the full set: not every minimal one has the NOOP with which a game starts.
        self._actions = [game.legal_actions.index(name) for name in names]
        self._noop = game.legal_actions.index("NOOP")
        # The vector env looks for FIRE in the set that it opens.
        fires = config.fire_on_reset and "FIRE" in game.opened_actions(names)
        self._fire = game.legal_actions.index("FIRE") if fires else None
        self.emulator = AtariEnv(
            game=config.game,
            mode=config.mode,
            difficulty=config.difficulty or None,  # not every game can be asked for 0, and each starts with it
            obs_type="grayscale",
            frameskip=1,
            repeat_action_probability=config.sticky_probability,
            full_action_space=True,
        )
        self.num_actions = len(names)
        self.lives = 0
        self._noop_generator = np.random.MT19937()
        self._elapsed_frames = 0
        self._capture: UInt8Array = np.zeros((0, 0), dtype=np.uint8)

    def start(self, seed: int | None) -> UInt8Array:
        """Starts a game, from `seed` or (None) as the emulator goes on; returns the first frame, uint8 [H, W]."""
        if seed is not None:
            self.emulator.ale.setInt("random_seed", seed)
            self.emulator.load_game()
            # The C++ vector env draws its no-ops from a Mersenne Twister seeded the C++ way.
            self._noop_generator._legacy_seeding(seed)
        screen, info = self.emulator.reset()
        noops = 0
        if self._fire is not None:
            screen, _, _, _, info = self.emulator.step(self._fire)
        if self._config.noop_max > 0:
            draw = (int(self._noop_generator.random_raw()) * self._config.noop_max) >> 32
            noops = max(draw - (self._fire is not None), 0)
        for _ in range(noops):
            screen, _, is_over, _, info = self.emulator.step(self._noop)
            if is_over:
                screen, info = self.emulator.reset()
        self._elapsed_frames = 0
        self.lives = int(info["lives"])
        self._capture = screen
        return resize_and_crop(screen, self._config)

    def play(self, action: int, screens: list[UInt8Array] | None = None) -> tuple[UInt8Array, float, bool, bool]:
        """Repeats one action for `frame_skip` frames.

        Args:
            action: 0..A-1.
            screens: if given, every frame's RGB screen [height, 160, 3] is added to it.

        Returns:
            frame uint8 [H, W], raw reward, terminated, truncated. At the end of a game the frame is that of the step
            before.
        """
        config = self._config
        wanted = min(2 if config.max_pool else 1, config.frame_skip)
        reward, is_over, is_late = 0.0, False, False
        captures: list[UInt8Array] = []
        for step in range(config.frame_skip):
            screen, frame_reward, is_over, _, info = self.emulator.step(self._actions[action])
            reward += float(frame_reward)
            self.lives = int(info["lives"])
            self._elapsed_frames += 1
            if screens is not None:
                screens.append(self.emulator.ale.getScreenRGB())
            is_late = self._elapsed_frames >= config.max_episode_frames
            if is_over or is_late:
                break
            if step >= config.frame_skip - wanted:
                captures.append(screen)
        if len(captures) == wanted:
            self._capture = np.maximum(captures[0], captures[-1])
        frame = resize_and_crop(self._capture, config)
        return frame, reward, bool(is_over), bool(is_late and not is_over)

    def close(self) -> None:
        """Closes the emulator."""
        self.emulator.close()


class ClassicVectorEnv:
    """E classic envs, stepped one after the other in Python.

    Args:
        config: game and preprocessing.
        num_envs: E.
        journal: gives the seeds and notes the actions.
    """

    def __init__(self, config: EnvsConfig, num_envs: int, journal: SeedJournal) -> None:
        self.num_envs, self.device = num_envs, torch.device("cpu")
        self._envs = [ClassicEnv(config) for _ in range(num_envs)]
        self.num_actions = self._envs[0].num_actions
        self._journal = journal
        self._action: Int64Array | None = None

    def reset(self) -> Tensor:
        """See VectorEnv."""
        seeds = self._journal.current_seeds().tolist()
        return torch.from_numpy(np.stack([env.start(seed) for env, seed in zip(self._envs, seeds, strict=True)]))

    def send(self, action: Tensor) -> None:
        """See VectorEnv; the work is done in `recv`."""
        self._action = action.numpy()

    def recv(self) -> EnvStep:
        """See VectorEnv."""
        action = self._action
        assert action is not None, "recv without send"
        self._action = None
        self._journal.record(action)
        frame: list[UInt8Array] = []
        reward = np.zeros(self.num_envs, dtype=np.float32)
        terminated, truncated, life_lost = (np.zeros(self.num_envs, dtype=np.bool_) for _ in range(3))
        for i, env in enumerate(self._envs):
            lives = env.lives
            newest, reward[i], terminated[i], truncated[i] = env.play(int(action[i]))
            is_over = np.array([terminated[i] or truncated[i]])
            if is_over[0]:
                newest = env.start(self._next_seed(i))
            else:
                life_lost[i] = 0 < env.lives < lives
            frame.append(newest)
        arrays = (np.stack(frame), reward, terminated, truncated, life_lost)
        return EnvStep(*(torch.from_numpy(array) for array in arrays))

    def _next_seed(self, env: int) -> int | None:
        is_over = np.zeros(self.num_envs, dtype=np.bool_)
        is_over[env] = True
        return self._journal.start_fresh(env) if self._journal.wants_fresh_seed(is_over)[env] else None

    def state_dict(self) -> dict[str, Any]:
        """See VectorEnv."""
        return {"journal": self._journal.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> Tensor:
        """See VectorEnv."""
        self._journal.load_state_dict(state["journal"])
        frame: list[UInt8Array] = []
        for i, env in enumerate(self._envs):
            newest = env.start(self._journal.current_seed(i))
            for action in self._journal.actions(i):
                newest, _, terminated, truncated = env.play(action)
                if terminated or truncated:
                    newest = env.start(None)
            frame.append(newest)
        return torch.from_numpy(np.stack(frame))

    def close(self) -> None:
        """See VectorEnv."""
        for env in self._envs:
            env.close()
        self._envs = []
