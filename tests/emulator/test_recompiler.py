"""Compiled blocks do what the interpreter does."""

import numpy as np
import pytest

from rl_speed.emulator.games import find_game
from rl_speed.emulator.libraries import find_blocks
from tests.emulator.factory import console


def assert_agree(first, second, where):
    a, b = first.inspect(), second.inspect()
    np.testing.assert_array_equal(a.ram, b.ram, err_msg=where)
    np.testing.assert_array_equal(a.screen, b.screen, err_msg=where)
    assert (a.registers, a.reward, a.lives, a.is_over) == (b.registers, b.reward, b.lives, b.is_over), where


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pong", "montezuma_revenge", "crossbow"])
def test_recompiled_and_interpreted_code_agree_on_poked_ram(name):
    rng = np.random.default_rng(0)
    both = [console(name, recompile=recompile) for recompile in (False, True)]
    for one in both:
        one.load(seed=0)
    for frame in range(3000):
        action = int(rng.integers(18))
        if frame % 7 == 0:
            place, value = int(rng.integers(128)), int(rng.integers(256))
            for one in both:
                one.poke(place, value)
        for one in both:
            one.act(action)
            if one.is_over():
                one.reset_game()
        assert_agree(*both, f"{name} frame {frame}")
    for one in both:
        one.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["pong", "elevator_action", "crossbow", "montezuma_revenge", "robotank", "pitfall2", "tic_tac_toe_3d"]
)
def test_recompiled_and_interpreted_code_agree_on_random_code(name):
    """Random bytes in RAM, random registers, and the program counter in RAM or anywhere in the ROM."""
    rng = np.random.default_rng(1)
    both = [console(name, recompile=recompile) for recompile in (False, True)]
    for one in both:
        one.load(seed=0)
    starts = [one.save() for one in both]
    jammed = 0
    for trial in range(150):
        pc = int(rng.integers(0x80, 0x100) if trial % 2 else rng.integers(0x1000, 0x10000))
        code, registers = rng.integers(256, size=128), rng.integers(256, size=5).tolist()
        for one, start in zip(both, starts, strict=True):
            one.restore(start)
            for place, value in enumerate(code):
                one.poke(place, value)
            one.set_registers(pc, *registers)
        for frame in range(4):
            action = int(rng.integers(18))
            for one in both:
                one.act(action)
            assert_agree(*both, f"{name} trial {trial} frame {frame}")
        jammed += both[0].inspect().registers["jammed"]
    assert jammed > 20  # illegal opcodes were among them
    for one in both:
        one.close()


def test_rounds_of_a_loop_that_waits_for_the_timer_are_left_out():
    """That the frames are the same is what the tests above say."""
    assert "p.await_timer<4, 7>(budget);" in find_blocks(find_game("pong"))
