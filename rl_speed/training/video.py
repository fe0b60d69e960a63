"""One game as a video with the score."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imageio.v2 as imageio
import numpy as np
import torch
from torch import Tensor, nn

from rl_speed.config import EnvsConfig, RunConfig
from rl_speed.experience.envs.protocol import FilmedEnv
from rl_speed.experience.generators.player import Player, RolloutSpace
from rl_speed.experience.parts import Parts
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.records import EnvStep, EpisodeEnd
from rl_speed.system.arrays import UInt8Array
from rl_speed.system.errors import UserError
from rl_speed.system.stage_timer import StageTimer

LEAST_WIDTH = 480  # pixels; smaller pictures are shown larger
BANNER_ROWS = 40


def record_video(
    network: nn.Module,
    config: RunConfig,
    path: Path,
    epsilon: float,
    seed: int,
    on_step: Callable[[float, int], None] | None = None,
    parts: Parts | None = None,
) -> float:
    """Plays one full game and writes every picture of it with the score to an mp4 file.

    Args:
        network: frozen Q-network.
        config: the run that it was trained in.
        path: file to write; it appears under this name only when it is whole.
        epsilon: share of random actions.
        seed: of the game and exploration.
        on_step: told after each env step the return so far, and the env steps.
        parts: with the caller's own env, if the run had one.

    Returns:
        the game's return.

    Raises:
        UserError: the file cannot be written.
    """
    if path.suffix != ".mp4":
        raise UserError(f"--video {path} must end in .mp4")
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    game: _FilmedGame | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        game = _FilmedGame((parts or Parts()).make_filmed_env(config.envs), seed)
        policy = ExploringPolicy(network, game.num_actions, seed, use_bf16=config.update.uses_bf16)
        policy.epsilon = epsilon
        with imageio.get_writer(
            temporary, format="FFMPEG", fps=game.frames_per_second, codec="libx264", macro_block_size=2
        ) as writer:
            episode_return = _record(game, policy, config.envs, writer, on_step or (lambda *_: None))
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"--video {path} cannot be written ({error}); make room or choose another folder") from None
    finally:
        temporary.unlink(missing_ok=True)
        if game is not None:
            game.close()
    return episode_return


class _FilmedGame:
    """One game as a VectorEnv that keeps the screens of its last step; nothing follows its end."""

    num_envs = 1
    device = torch.device("cpu")

    def __init__(self, env: FilmedEnv, seed: int) -> None:
        self._env, self._seed = env, seed
        self.num_actions, self.frames_per_second = env.num_actions, env.frames_per_second
        self.screens: list[UInt8Array] = []  # uint8 [h, w, 3] each
        self.reward = 0.0
        self._action = 0

    def reset(self) -> Tensor:
        return torch.from_numpy(self._env.start(self._seed))[None]

    def send(self, action: Tensor) -> None:
        self._action = int(action[0])

    def recv(self) -> EnvStep:
        self.screens = []
        frame, self.reward, terminated, truncated = self._env.play(self._action, self.screens)
        flags = (torch.tensor([flag]) for flag in (terminated, truncated, False))
        return EnvStep(torch.from_numpy(frame)[None], torch.tensor([self.reward]), *flags)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> Tensor:
        raise AssertionError("a filmed game is not restored")

    def close(self) -> None:
        self._env.close()


def _record(
    game: _FilmedGame,
    policy: ExploringPolicy,
    config: EnvsConfig,
    writer: Any,
    on_step: Callable[[float, int], None],
) -> float:
    player = Player(game, policy, config, first_env=0, timer=StageTimer())
    space = RolloutSpace.allocate(1, 1, config)
    episode_return, env_steps, ends = 0.0, 0, list[EpisodeEnd]()
    while not ends:
        player.begin()
        player.finish(space, 0)
        for screen in game.screens:
            writer.append_data(_with_score(screen, episode_return, env_steps, config))
        episode_return += game.reward
        env_steps += 1
        on_step(episode_return, env_steps)
        ends = player.take_episode_ends(0, 1)
    # The final score stays for two seconds.
    for _ in range(2 * game.frames_per_second):
        writer.append_data(_with_score(game.screens[-1], episode_return, env_steps, config))
    return episode_return


def _with_score(screen: UInt8Array, episode_return: float, env_steps: int, config: EnvsConfig) -> UInt8Array:
    """An RGB screen [h, w, 3], in whole pixels enlarged, under a line of text; Atari's are twice as wide as high."""
    height, width = screen.shape[:2]
    rows, columns = (3, 4) if config.is_atari else [math.ceil(LEAST_WIDTH / width)] * 2
    picture = cv2.resize(screen, (width * columns, height * rows), interpolation=cv2.INTER_NEAREST)
    banner = np.zeros((BANNER_ROWS, picture.shape[1], 3), dtype=np.uint8)
    text = f"{config.name}   score {episode_return:+g}   env step {env_steps}"
    size = 0.65 * min(1.0, picture.shape[1] / 640)
    cv2.putText(banner, text, (10, 27), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([banner, picture])
