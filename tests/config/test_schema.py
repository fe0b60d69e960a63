"""Every field says what it is; the goal is the game's."""

import pytest

from rl_speed.config import RunConfig


def test_every_field_is_described():
    for section_name, section in RunConfig.model_fields.items():
        fields = getattr(section.annotation, "model_fields", {})
        for name, field in fields.items():
            assert field.description, f"{section_name}.{name}"


@pytest.mark.parametrize(
    ("content", "goal"),
    [
        ({}, 19.5),
        ({"stop": {"window_episodes": 10}}, 19.5),
        ({"envs": {"game": "pong"}}, 19.5),
        ({"envs": {"game": "breakout"}}, None),
        ({"envs": {"game": "breakout"}, "stop": {"reward": 30}}, 30),
        ({"stop": {"reward": None}}, None),
    ],
    ids=str,
)
def test_a_goal_that_is_not_set_is_the_games(content, goal):
    assert RunConfig.model_validate(content).stop.reward == goal


def test_a_saved_goal_is_kept_whatever_the_game():
    saved = RunConfig.model_validate({"envs": {"game": "breakout"}, "stop": {"reward": 19.5}}).model_dump()
    assert RunConfig.model_validate(saved).stop.reward == 19.5
    none = RunConfig.model_validate({"stop": {"reward": None}}).model_dump(mode="json")
    assert RunConfig.model_validate(none).stop.reward is None
