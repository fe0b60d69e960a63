"""Envs that are played side by side: same actions, same answers."""

import numpy as np
import torch

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs import make_env


def play(env, steps, seed=0, start=True):
    """Random actions; everything that the env answered, and the first frames."""
    generator = np.random.default_rng(seed)
    first = env.reset() if start else None
    answers = []
    for _ in range(steps):
        env.send(torch.from_numpy(generator.integers(env.num_actions, size=env.num_envs)).to(env.device))
        answers.append(env.recv())
    return first, answers


def assert_same(first, second):
    for step, (a, b) in enumerate(zip(first, second, strict=True)):
        for name, value in vars(a).items():
            np.testing.assert_array_equal(value, getattr(b, name), err_msg=f"{name} of step {step}")


AGREEMENT = [
    {},
    {"noop_max": 0, "max_pool": False, "image_height": 42, "image_width": 42},
    {"image_height": 56, "image_width": 42, "crop_top": 9, "crop_bottom": 5},
    {"sticky_probability": 0.25, "max_episode_frames": 203},
    {"game": "breakout", "max_episode_frames": 900},
    {"game": "space_invaders", "fire_on_reset": False, "actions": "full", "frame_skip": 3},
    {"game": "ms_pacman", "actions": ("NOOP", "UP", "DOWN", "LEFT", "RIGHT")},
    {"game": "backgammon", "max_episode_frames": 120},  # no NOOP among its actions, no difficulty 0
]


# Every way in which the frames of a step become one, over ends and time limits.
FRAMES = [
    {"frame_skip": skip, "max_pool": pool, "max_episode_frames": 151, "noop_max": 8}
    for skip in (1, 2, 3)
    for pool in (True, False)
]


def agree(names, settings, can_resume):
    backends = [
        make_env(EnvsConfig(backend=name, reseed_env_steps=100, **settings), 2, 5, 1, can_resume) for name in names
    ]
    (first_frame, first), (second_frame, second) = (play(env, 320) for env in backends)
    np.testing.assert_array_equal(first_frame, second_frame)
    assert_same(first, second)
    if "max_episode_frames" in settings:
        assert any(answer.truncated.any() or answer.terminated.any() for answer in first)
    for env in backends:
        env.close()
