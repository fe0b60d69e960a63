"""Our own emulator as an env gives what ale-py gives."""

import pytest

from tests.experience.envs.agreement import AGREEMENT, FRAMES, agree


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


@pytest.mark.parametrize(
    "settings",
    [FRAMES[0], *(pytest.param(settings, marks=pytest.mark.slow) for settings in FRAMES[1:])],
    ids=str,
)
def test_frames_of_a_step_become_one_as_ale_py_does_it(settings):
    agree(("ale_vector", "native"), settings, can_resume=False)
