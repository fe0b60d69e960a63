"""Every field says what it is; the goal is the game's."""

import pytest

from rl_speed.config import EnvsConfig, RunConfig, validate
from rl_speed.system.errors import ConfigError


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
        ({"envs": {"id": "X-v0"}}, None),
        ({"envs": {"backend": "gymnasium"}}, None),
        ({"envs": {"id": "X-v0"}, "stop": {"reward": 7}}, 7),
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


def test_an_env_of_the_registry_is_played_under_its_name():
    envs = RunConfig.model_validate({"envs": {"id": "X-v0", "backend": "native"}}).envs
    assert (envs.game, envs.name, envs.backend, envs.is_atari) == ("X-v0", "X-v0", "gymnasium", False)
    assert envs.frames_per_env_step == 1
    assert EnvsConfig.model_validate(envs.model_dump(mode="json")) == envs
    game = EnvsConfig(game="breakout", frame_skip=3)
    assert (game.name, game.is_atari, game.frames_per_env_step) == ("breakout", True, 3)
    assert EnvsConfig(backend="gymnasium").name == "own env"


@pytest.mark.parametrize(
    ("envs", "part"),
    [
        ({"id": "X-v0", "game": "breakout"}, "envs.id = 'X-v0' and envs.game = 'breakout' exclude each other"),
        ({"id": "X-v0", "game": "pong"}, "envs.game = 'pong' exclude"),
        ({"id": "ALE/MsPacman-v5"}, "envs.id = 'ALE/MsPacman-v5' is a game of ale-py; .* envs.game to ms_pacman"),
        ({"id": "rl_speed/Pong-v5"}, "envs.game to pong"),
        ({"id": "PongNoFrameskip-v4"}, "envs.game to pong"),
        ({"id": "ale_py:ALE/Breakout-ram-v5"}, "envs.game to breakout"),
        ({"id": ""}, "envs.id = ''"),
        ({"id": 3}, "envs.id = 3"),
        ({"id": "X-v0", "options": {"size": {1, 2}}}, "envs.options"),
        ({"id": "X-v0", "options": 3}, "envs.options = 3"),
    ],
)
def test_an_id_that_cannot_be_is_a_sentence(envs, part):
    with pytest.raises(ConfigError, match=part) as caught:
        validate({"envs": envs})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mine:Pong-v0", "MinAtar/Breakout-v1", "Ponger-v0", "CarRacing-v3"])
def test_ids_that_only_look_like_a_game_of_ale_py(name):
    assert validate({"envs": {"id": name}}).envs.id == name
