"""The goal and the limits."""

import threading

import pytest

from rl_speed.config import StopConfig
from rl_speed.system.ending import Ending
from rl_speed.training.callbacks.ends import StopAtLimits, StopAtReward
from tests.training.stand_ins import end, fake_dataset, fake_trainer, make_counter, make_statistics


def test_the_run_stops_at_the_goal():
    dataset = fake_dataset(ends=[end(21), end(21)])
    counter = make_counter(make_statistics(window=2, envs=1), dataset)
    stop, trainer = StopAtReward(counter), fake_trainer()
    stop.on_train_batch_end(trainer)
    assert not trainer.should_stop
    counter.on_train_batch_end(trainer)
    stop.on_train_batch_end(trainer)
    assert trainer.should_stop
    assert stop.is_solved


@pytest.mark.parametrize(
    ("changes", "env_steps", "gradient_steps", "is_set", "reason"),
    [
        ({}, 10**9, 10**9, False, None),
        ({"max_env_steps": 100}, 99, 0, False, None),
        ({"max_env_steps": 100}, 100, 0, False, "max_env_steps"),
        ({"max_gradient_steps": 5}, 0, 5, False, "max_gradient_steps"),
        ({}, 0, 0, True, "interrupted"),
    ],
)
def test_limits(changes, env_steps, gradient_steps, is_set, reason):
    event = threading.Event()
    if is_set:
        event.set()
    limits = StopAtLimits(StopConfig(**changes), fake_dataset(env_steps).generator, Ending(event))
    trainer = fake_trainer(gradient_steps)
    limits.on_train_batch_end(trainer)
    assert (limits.reason, trainer.should_stop) == (reason, reason is not None)


def test_a_deadline_that_has_passed_ends_the_run():
    limits = StopAtLimits(StopConfig(), fake_dataset().generator, Ending(max_seconds=0.0))
    trainer = fake_trainer()
    limits.on_train_batch_end(trainer)
    assert limits.reason == "max_seconds"
