"""Why a run has to end."""

import threading

from rl_speed.system import ending
from rl_speed.system.ending import Ending, Stopwatch


def test_a_wish_goes_before_a_deadline(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(ending.time, "monotonic", lambda: now[0])
    stop = threading.Event()
    end = Ending(stop, max_seconds=5.0)
    assert end.reason is None
    now[0] = 105.0
    assert end.reason == "max_seconds"
    stop.set()
    assert end.reason == "interrupted"


def test_time_counts_from_the_start_of_the_program(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(ending.time, "monotonic", lambda: now[0])
    end, watch = Ending(None, 5.0, started=90.0), Stopwatch(started=90.0)
    assert end.reason == "max_seconds"
    assert watch.elapsed_seconds() == 10.0


def test_without_a_limit_it_never_ends_by_itself():
    assert Ending().reason is None


def test_earlier_parts_of_a_run_count(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(ending.time, "monotonic", lambda: now[0])
    watch = Stopwatch(earlier_seconds=30.0)
    now[0] = 112.0
    assert watch.elapsed_seconds() == 42.0


def test_what_is_off_the_clock_takes_no_time_of_the_run(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(ending.time, "monotonic", lambda: now[0])
    watch = Stopwatch()
    now[0] = 103.0
    with watch.off_the_clock():
        now[0] = 150.0
        assert watch.elapsed_seconds() == 3.0
    now[0] = 152.0
    assert watch.elapsed_seconds() == 5.0


def test_a_held_wish_waits_until_it_is_agreed():
    ending = Ending()
    ending.hold()
    ending.stop.set()
    assert (ending.wish, ending.reason) == ("interrupted", None)
    with ending.alone():
        assert ending.reason == "interrupted"
    assert ending.reason is None
    ending.agreed = "max_seconds"
    assert ending.reason == "max_seconds"


def test_the_loss_of_another_process_does_not_wait():
    ending = Ending()
    ending.hold()
    ending.is_rank_lost = True
    assert ending.reason == "rank_lost"


def test_time_that_is_left():
    assert Ending().seconds_left is None
    assert 0 < Ending(max_seconds=100.0).seconds_left <= 100
    assert Ending(max_seconds=0.001, started=0.0).seconds_left == 0.0
