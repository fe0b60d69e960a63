"""Whom a learner gives up, and when."""

import pytest

from rl_speed.experience.generators.patience import MAX_UNOBSERVED_SECONDS, Patience


class ManualClock:
    """A clock that the test sets."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return ManualClock()


def waits_until_exhausted(patience, clock, wait_seconds, timeout_seconds):
    """How many waits of equal length are borne."""
    for waits in range(1, 1000):
        clock.seconds += wait_seconds
        if patience.is_exhausted(timeout_seconds):
            return waits
    raise AssertionError("never exhausted")


def test_patience_ends_after_the_limit(clock):
    assert waits_until_exhausted(Patience(3.0, clock), clock, 0.5, timeout_seconds=0.5) == 7


def test_looks_that_do_not_wait_count_the_time_between_them(clock):
    assert waits_until_exhausted(Patience(3.0, clock), clock, 0.25, timeout_seconds=0.0) == 13


@pytest.mark.parametrize("timeout_seconds", [0.0, 0.5, 30.0])
def test_a_stopped_learner_does_not_hold_its_absence_against_the_actors(clock, timeout_seconds):
    patience = Patience(60.0, clock)
    clock.seconds += 100_000.0
    assert not patience.is_exhausted(timeout_seconds)
    # What is left of the limit is less by one wait, not more.
    left = 60.0 - timeout_seconds - MAX_UNOBSERVED_SECONDS
    assert waits_until_exhausted(patience, clock, 0.5, timeout_seconds=0.5) == pytest.approx(left / 0.5, abs=1)


def test_an_answer_restarts_patience(clock):
    patience = Patience(3.0, clock)
    for _ in range(10):
        clock.seconds += 1.0
        assert not patience.is_exhausted(1.0)
        patience.restart()
