"""Python envs and ale-py's vector env give the same."""

import pytest

from tests.experience.envs.agreement import AGREEMENT, agree


@pytest.mark.parametrize(
    "settings",
    [AGREEMENT[0], *(pytest.param(settings, marks=pytest.mark.slow) for settings in AGREEMENT[1:])],
    ids=[str(index) for index in range(len(AGREEMENT))],
)
def test_classic_and_vector_backends_give_the_same(settings):
    agree(("classic", "ale_vector"), settings, can_resume=True)
