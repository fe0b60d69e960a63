"""Python envs and ale-py's vector env give the same."""

import pytest

from tests.experience.envs.agreement import AGREEMENT, FRAMES, agree


@pytest.mark.parametrize(
    "settings",
    [AGREEMENT[0], *(pytest.param(settings, marks=pytest.mark.slow) for settings in AGREEMENT[1:])],
    ids=[str(index) for index in range(len(AGREEMENT))],
)
def test_classic_and_vector_backends_give_the_same(settings):
    agree(("classic", "ale_vector"), settings, can_resume=True)


@pytest.mark.parametrize(
    "settings",
    [FRAMES[0], *(pytest.param(settings, marks=pytest.mark.slow) for settings in FRAMES[1:])],
    ids=str,
)
def test_frames_of_a_step_become_one_as_in_the_vector_backend(settings):
    agree(("classic", "ale_vector"), settings, can_resume=True)
