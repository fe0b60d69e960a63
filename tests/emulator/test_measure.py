"""What is counted of the kernels."""

import pytest

from rl_speed.emulator.games import find_game
from rl_speed.emulator.measure import count_turns


@pytest.mark.slow
def test_turns_are_counted():
    count = count_turns(find_game("pong"), recompile=False, warm_up_steps=40, steps=2)
    # Together takes longer than alone, and less long than one after the other.
    assert count.alone <= count.together < 32 * count.alone
    assert count.replay_alone <= count.replay_together < 32 * count.replay_alone
    assert 16 < count.lanes <= 32
