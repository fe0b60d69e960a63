"""How many runs go side by side."""

import pytest

from rl_speed.config import load_config
from rl_speed.suite.placement import Placement, Room, decide_at_once
from rl_speed.system.cores import Cores

FOUR = Cores(4, 4, "4 of the machine's 4")


def decided(preset, room, is_timed=False, changes=()):
    return decide_at_once({(preset, "pong"): load_config(preset, list(changes))}, room, is_timed)


@pytest.mark.parametrize(
    ("preset", "changes", "at_once", "part"),
    [
        ("baseline", [], 4, "in turn on one core"),
        ("n_envs", [], 4, "in turn on one core"),
        ("actors", [], 1, "beside the learner"),
        ("fast_cpu", [], 1, "beside the learner"),
        ("smoke", [], 1, "plays with 2 threads"),
        ("smoke", ["envs.count=1"], 4, "in turn on one core"),
        ("smoke", ["envs.threads=1"], 4, "in turn on one core"),
        ("smoke", ["trainer.devices=2", "envs.threads=1"], 1, "learns with 2 ranks"),
    ],
)
def test_as_many_runs_as_have_cores(preset, changes, at_once, part):
    placement = decided(preset, Room(FOUR, 10**12, False), changes=changes)
    assert placement.at_once == at_once
    assert part in placement.reason


@pytest.mark.parametrize(
    ("preset", "physical", "at_once", "part"),
    [("fast_cpu", 8, 1, "takes all cores"), ("fast_cpu", 32, 3, "takes 9 cores"), ("atari", 64, 7, "takes 9 cores")],
)
def test_a_large_machine_holds_several_runs_with_processes_of_their_own(preset, physical, at_once, part):
    placement = decided(preset, Room(Cores(physical, physical, ""), 10**12, False))
    assert (placement.at_once, placement.shares) == (at_once, at_once)
    assert part in placement.reason


def test_memory_gpu_and_wall_time_limit_it():
    short = decided("baseline", Room(FOUR, 3 * 10**9, False))
    assert short.at_once == 2  # 0.71 GB of replay and half a GB each
    assert [short.cores(slot, [0, 1, 2, 3]) for slot in range(2)] == [[0], [1]]  # one core each, though two are left
    assert "3.0 GB are free" in short.reason
    assert decided("baseline", Room(FOUR, 10, False)).at_once == 1
    assert "GPU" in decided("baseline", Room(FOUR, 10**12, True)).reason
    assert decided("baseline", Room(FOUR, 10**12, True), changes=["trainer.accelerator=cpu"]).at_once == 4
    assert "wall time" in decided("baseline", Room(FOUR, 10**12, False), is_timed=True).reason


def test_one_preset_that_needs_all_cores_is_enough():
    configs = {(name, "pong"): load_config(name) for name in ("baseline", "fast_cpu")}
    placement = decide_at_once(configs, Room(FOUR, 10**12, False), False)
    assert placement.at_once == 1
    assert "fast_cpu" in placement.reason


def test_slots_share_all_cores_and_each_has_one():
    slots = [Placement(3, "", 3).cores(slot, [0, 1, 2, 3, 8, 9, 10]) for slot in range(3)]
    assert slots == [[0, 3, 10], [1, 8], [2, 9]]
    assert [Placement(5, "", 5).cores(slot, [4, 6]) for slot in range(5)] == [[4], [6], [4], [6], [4]]
