"""The limits."""

import threading

import pytest

from rl_speed.config import StopConfig
from rl_speed.system.ending import Ending
from rl_speed.training.callbacks.ends import StopAtLimits
from tests.training.stand_ins import fake_dataset, fake_trainer


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
