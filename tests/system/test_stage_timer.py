"""Time per stage."""

import time

from rl_speed.system.stage_timer import StageTimer


def test_a_clock_that_waits_for_the_device_charges_the_stage():
    clock = StageTimer()
    clock.synchronise = lambda: time.sleep(0.02)
    with clock.measure("act"):
        pass
    assert clock.seconds["act"] >= 0.02
