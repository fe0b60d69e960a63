"""One game as a video with the score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import imageio.v2 as imageio
import numpy as np
import torch
from torch import nn

from rl_speed.config import RunConfig
from rl_speed.experience.envs.classic import ClassicEnv
from rl_speed.experience.envs.preprocessing import push_frame
from rl_speed.experience.policy import EpsilonGreedyPolicy
from rl_speed.system.arrays import UInt8Array
from rl_speed.system.errors import UserError

VIDEO_FRAMES_PER_SECOND = 60  # of an NTSC console


def record_video(network: nn.Module, config: RunConfig, path: Path, epsilon: float, seed: int) -> float:
    """Plays one full game and writes every emulator frame with the score to an mp4 file.

    Args:
        network: frozen Q-network.
        config: the run that it was trained in.
        path: file to write; it appears under this name only when it is whole.
        epsilon: share of random actions.
        seed: of the game and exploration.

    Returns:
        the game's return.

    Raises:
        UserError: the file cannot be written.
    """
    if path.suffix != ".mp4":
        raise UserError(f"--video {path} must end in .mp4")
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
    except OSError as error:
        raise UserError(
            f"--video {path} cannot be written ({error}); give a path in a folder that you may write to"
        ) from None
    env = ClassicEnv(config.envs)
    policy = EpsilonGreedyPolicy(network, env.num_actions, seed, use_bf16=config.update.uses_bf16)
    policy.epsilon = epsilon
    try:
        with imageio.get_writer(
            temporary, format="FFMPEG", fps=VIDEO_FRAMES_PER_SECOND, codec="libx264", macro_block_size=2
        ) as writer:
            episode_return = _record(env, policy, config, writer, seed)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"--video {path} cannot be written ({error}); make room or choose another folder") from None
    finally:
        temporary.unlink(missing_ok=True)
        env.close()
    return episode_return


def _record(env: ClassicEnv, policy: EpsilonGreedyPolicy, config: RunConfig, writer: Any, seed: int) -> float:
    frame = torch.from_numpy(env.start(seed))[None]
    stack = torch.zeros((1, config.envs.frame_stack, *frame.shape[1:]), dtype=torch.uint8)
    is_first = torch.ones(1, dtype=torch.bool)
    episode_return, is_over, env_steps = 0.0, False, 0
    while not is_over:
        stack = push_frame(stack, frame, is_first)
        is_first = torch.zeros(1, dtype=torch.bool)
        screens: list[UInt8Array] = []
        newest, reward, terminated, truncated = env.play(int(policy.act(stack)[0]), screens)
        for screen in screens:
            writer.append_data(_with_score(screen, episode_return, env_steps, config.envs.game))
        episode_return += reward
        env_steps += 1
        is_over = terminated or truncated
        frame = torch.from_numpy(newest)[None]
    # The final score stays for two seconds.
    for _ in range(2 * VIDEO_FRAMES_PER_SECOND):
        writer.append_data(_with_score(screens[-1], episode_return, env_steps, config.envs.game))
    return episode_return


def _with_score(screen: UInt8Array, episode_return: float, env_steps: int, game: str) -> UInt8Array:
    """An RGB screen [h, 160, 3], three times as large (pixels twice as wide as high), under a line of text."""
    height = screen.shape[0] * 3
    picture = cv2.resize(screen, (160 * 4, height), interpolation=cv2.INTER_NEAREST)
    banner = np.zeros((40, picture.shape[1], 3), dtype=np.uint8)
    text = f"{game}   score {episode_return:+g}   env step {env_steps}"
    cv2.putText(banner, text, (10, 27), cv2.FONT_HERSHEY_SIMPLEX, 0.65, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([banner, picture])
