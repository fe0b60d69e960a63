"""Backends on ale-py: they agree with each other and with Gymnasium, and their state comes back."""

import numpy as np
import pytest
import torch
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs import make_env
from rl_speed.experience.envs.journal import SeedJournal


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


@pytest.mark.parametrize(
    "settings",
    [AGREEMENT[0], *(pytest.param(settings, marks=pytest.mark.slow) for settings in AGREEMENT[1:])],
    ids=[str(index) for index in range(len(AGREEMENT))],
)
def test_classic_and_vector_backends_give_the_same(settings):
    agree(("classic", "ale_vector"), settings, can_resume=True)


# Our own emulator never starts a game from a fresh seed: it can save its consoles.
@pytest.mark.parametrize(
    "settings",
    [
        AGREEMENT[0],
        pytest.param(AGREEMENT[2], marks=pytest.mark.slow),
        AGREEMENT[3],
        *[
            pytest.param(settings, marks=pytest.mark.slow)
            for settings in (
                *AGREEMENT[4:],
                {"game": "adventure"},
                {"image_height": 105, "image_width": 80},
                {"image_height": 42, "image_width": 40},
                {"image_height": 210, "image_width": 160, "frame_skip": 1},
                {"image_height": 20, "image_width": 20},
            )
        ],
    ],
    ids=str,
)
def test_own_emulator_and_vector_backend_give_the_same(settings):
    agree(("ale_vector", "native"), settings, can_resume=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"game": "pong", "mode": 1},
        pytest.param(
            {"game": "alien", "mode": 2, "difficulty": 3, "sticky_probability": 0.25, "max_episode_frames": 900},
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_modes_and_difficulties_are_ale_pys(settings):
    agree(("classic", "native"), settings, can_resume=False)


def test_frames_are_those_of_ale_pys_own_env():
    config = EnvsConfig(reseed_env_steps=10_000)
    env = make_env(config, 2, seed=3, threads=1)
    frame, answers = play(env, 100)
    journal = SeedJournal(2, 3, 1)
    other = AtariVectorEnv(
        "pong", num_envs=2, stack_num=1, autoreset_mode=AutoresetMode.SAME_STEP, reward_clipping=False
    )
    observation, _ = other.reset(seed=journal.current_seeds())
    np.testing.assert_array_equal(frame, observation[:, 0])
    generator = np.random.default_rng(0)
    for answer in answers:
        observation, reward, *_ = other.step(generator.integers(6, size=2))
        np.testing.assert_array_equal(answer.frame, observation[:, 0])
        np.testing.assert_array_equal(answer.reward, reward)
    env.close()
    other.close()


@pytest.mark.parametrize(
    "backend",
    [pytest.param("classic", marks=pytest.mark.slow), "ale_vector", pytest.param("native", marks=pytest.mark.slow)],
)
def test_games_come_back_bit_for_bit(backend):
    # Short episodes and frequent fresh seeds: the journals of the envs have different lengths.
    config = EnvsConfig(
        backend=backend, game="breakout", max_episode_frames=230, reseed_env_steps=70, sticky_probability=0.25
    )
    env, other = (make_env(config, 3, seed=seed, threads=1) for seed in (7, 8))
    play(env, 137)
    frame = other.load_state_dict(env.state_dict())
    expected, resumed = play(env, 150, seed=1, start=False)[1], play(other, 150, seed=1, start=False)[1]
    assert_same(expected, resumed)
    np.testing.assert_array_equal(frame.shape, expected[0].frame.shape)
    env.close()
    other.close()


def test_envs_do_not_start_alike():
    env = make_env(EnvsConfig(game="space_invaders"), 4, seed=0, threads=1)
    # No-ops move the invaders: their number differs from env to env.
    assert len({one.numpy().tobytes() for one in env.reset()}) > 1
    env.close()


@pytest.mark.parametrize("backend", ["classic", "ale_vector", pytest.param("native", marks=pytest.mark.slow)])
def test_a_lost_life_does_not_end_the_game(backend):
    env = make_env(EnvsConfig(backend=backend, game="breakout"), 1, seed=1, threads=1)
    env.reset()
    lives_lost = overs = 0
    for step in range(1500):
        env.send(torch.tensor([1 if step % 20 == 0 else 0]))  # FIRE now and then, never move
        answer = env.recv()
        lives_lost += int(answer.life_lost[0])
        overs += int(answer.terminated[0])
        if overs:
            break
    assert (lives_lost, overs) == (4, 1)
    env.close()


@pytest.mark.parametrize("backend", ["classic", "ale_vector", "native"])
def test_closing_twice_is_allowed(backend):
    env = make_env(EnvsConfig(backend=backend), 1, seed=1, threads=1)
    env.close()
    env.close()
