"""The games and the recorded facts about them."""

import pytest
from ale_py import ALEInterface, LoggerMode

from rl_speed.emulator.games import find_game, game_names, read_rom, rom_path
from rl_speed.system.errors import UserError

ALEInterface.setLoggerMode(LoggerMode.Error)


def test_every_game_of_the_table_has_a_rom_with_the_recorded_checksum():
    names = game_names()
    assert len(names) == 104
    for name in names:
        game = find_game(name)
        rom = read_rom(game)
        assert len(rom) == game.facts["size"]
        assert game.facts["default_mode"] in game.modes


# Those without a NOOP, and those that take no FIRE, are the odd ones.
@pytest.mark.parametrize(
    "names",
    [
        ("pong", "backgammon", "skiing", "lost_luggage"),
        pytest.param(game_names(), marks=[pytest.mark.slow, pytest.mark.exhaustive]),
    ],
    ids=["some", "all"],
)
def test_the_actions_are_those_of_ale_py(names):
    ale = ALEInterface()
    for name in names:
        game = find_game(name)
        ale.loadROM(rom_path(game))
        assert game.minimal_actions == [action.name for action in ale.getMinimalActionSet()], name
        assert game.legal_actions == [action.name for action in ale.getLegalActionSet()], name


def test_unknown_game():
    with pytest.raises(UserError, match="no game 'pongg'; did you mean pong"):
        find_game("pongg")
    for name in (None, ["pong"], 3):
        with pytest.raises(UserError, match="is no name; give one"):
            find_game(name)


def test_wrong_rom(tmp_path):
    path = tmp_path / "pong.bin"
    path.write_bytes(bytes(2048))
    with pytest.raises(UserError, match=r"pong\.bin has MD5 .* but pong has"):
        read_rom(find_game("pong"), path)
    with pytest.raises(UserError, match="cannot be read"):
        read_rom(find_game("pong"), tmp_path / "none.bin")
