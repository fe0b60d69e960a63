"""What ranks in Ray leave for the process that the user sees."""

import pytest

from rl_speed.system.errors import EndedBeforeStartError, UserError
from rl_speed.training.ranks.ray_learners import _Post


@pytest.fixture
def post(tmp_path):
    made = _Post(tmp_path)
    made.open()
    yield made
    made.close()


def test_a_mistake_is_told_as_it_was(post):
    post.raise_told()  # nothing yet
    post.tell(UserError("envs.count = 0 is too few"), 0)
    with pytest.raises(UserError, match=r"envs\.count = 0 is too few") as caught:
        post.raise_told()
    assert not isinstance(caught.value, EndedBeforeStartError)


def test_an_end_before_the_first_game_stays_one(post):
    post.tell(EndedBeforeStartError("interrupted", "its emulator was compiled"), 0)
    with pytest.raises(EndedBeforeStartError, match=r"interrupted: .* while its emulator was compiled; start it again"):
        post.raise_told()


def test_the_first_ranks_sentence_is_shown(post):
    post.tell(UserError("of rank 1"), 1)
    post.tell(UserError("of rank 2"), 2)
    post.tell(UserError("of rank 0"), 0)
    with pytest.raises(UserError, match="of rank 0"):
        post.raise_told()
