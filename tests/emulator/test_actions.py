"""The names of the actions."""

import ale_py

from rl_speed import config
from rl_speed.emulator.actions import ACTION_NAMES, ACTION_NUMBERS


def test_actions_are_ale_pys():
    assert {name: ACTION_NUMBERS[name] for name in ACTION_NAMES} == {
        action.name: action.value for action in ale_py.Action.__members__.values()
    }


def test_there_is_one_list():
    assert config.ACTION_NAMES is ACTION_NAMES
