"""The emulator against ale-py and against what is recorded of it."""

import pytest

from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.games import find_game
from rl_speed.emulator.verify import first_difference, golden, make_ale, verify, verify_cuda
from tests.emulator.factory import VARIED, simulated


def test_pong_gives_the_recorded_hashes(pong):
    expected = find_game("pong").facts["golden"]
    assert golden(find_game("pong"), pong) == expected


def test_pong_equals_ale():
    verdict = verify("pong", frames=600, seed=1, sticky_probability=0.25, full_actions=True, recompile=False)
    assert verdict.differences == []
    assert verdict.frames == 600


def test_a_difference_is_found_and_named(pong):
    ale = make_ale(find_game("pong"), 0, 0.0)
    pong.load(1, seed=0)
    assert first_difference(ale, pong.inspect(1)) == []
    pong.poke(5, pong.inspect(1).ram[5] ^ 1, index=1)
    assert first_difference(ale, pong.inspect(1))[0].startswith("RAM byte 5 is ")
    pong.act(0, index=1)
    assert any(text.startswith("frame number is 1, ale-py has 0") for text in first_difference(ale, pong.inspect(1)))


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIED)
def test_varied_games_give_the_recorded_hashes(name):
    consoles = Consoles(find_game(name))
    assert golden(find_game(name), consoles) == find_game(name).facts["golden"]
    consoles.close()


@pytest.mark.slow
@pytest.mark.parametrize(("sticky", "full"), [(0.0, False), (0.25, True)])
def test_pong_equals_ale_for_long(sticky, full):
    verdict = verify("pong", frames=30_000, seed=2, sticky_probability=sticky, full_actions=full)
    assert verdict.differences == []
    assert verdict.ends > 0


@pytest.mark.slow
def test_verify_compares_every_frame():
    assert verify_cuda("pong", 80, 0, 3, lambda game, defines: simulated(game, False, **defines)).differences == []

    def other_game(game, defines):
        # Its paddles stop at another place.
        return simulated(game, False, **{**defines, "PADDLE_MOST": 500_000})

    differences = verify_cuda("pong", 400, 0, 3, other_game).differences
    assert differences
    assert "differs between GPU and CPU" in differences[0]
