"""Lists of games, and the published scores."""

import pytest

from rl_speed.emulator.games import game_names
from rl_speed.suite.reference import ATARI5, ATARI26, games_named, human_normalised, reference_scores
from rl_speed.system.errors import ConfigError


def test_the_57_games_can_all_be_played():
    assert len(reference_scores()) == 57
    assert set(reference_scores()) <= set(game_names())
    assert all(human > random for random, human in reference_scores().values())


def test_the_lists_are_parts_of_the_57():
    assert len(set(ATARI5)) == 5
    assert len(set(ATARI26)) == 26
    assert {*ATARI5, *ATARI26} <= set(reference_scores())


@pytest.mark.parametrize(
    ("game", "score", "share"),
    [
        ("pong", -20.7, 0.0),
        ("pong", 14.6, 1.0),
        ("breakout", 1.7 + 2 * 28.8, 2.0),
        ("video_pinball", 16256.9 - 1411.0, -1.0),
        ("adventure", 5.0, None),
    ],
)
def test_random_play_is_zero_and_the_human_tester_one(game, score, share):
    answer = human_normalised(game, score)
    assert answer == (None if share is None else pytest.approx(share))


def test_lists_and_names_go_together_and_each_game_comes_once():
    assert games_named("qbert, atari5") == ("qbert", "battle_zone", "double_dunk", "name_this_game", "phoenix")
    assert len(games_named("atari57")) == 57
    assert games_named("adventure") == ("adventure",)


@pytest.mark.parametrize(
    ("text", "part"), [("pongg", "did you mean pong"), (" , ", "names no game"), ("joust", "one player")]
)
def test_an_unknown_game_is_one_sentence(text, part):
    with pytest.raises(ConfigError, match=part):
        games_named(text)
