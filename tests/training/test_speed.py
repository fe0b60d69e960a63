"""Speeds of the window and of all that is not prefill."""

from types import SimpleNamespace

import pytest
import torch

from rl_speed.system.stage_timer import StageTimer
from rl_speed.training.callbacks import speed
from rl_speed.training.callbacks.speed import SpeedLogger
from rl_speed.training.speed import SpeedMeter
from tests.training.stand_ins import fake_dataset, fake_trainer


def test_cores_are_looked_at_from_the_end_of_the_prefill_on(monkeypatch):
    looks, now = [], [0.0]
    monkeypatch.setattr(speed.psutil, "cpu_percent", lambda: looks.append(now[0]) or 50.0)
    meter = SpeedMeter(StageTimer(), every_seconds=2.0, now=lambda: now[0])
    policy = SimpleNamespace(epsilon=1.0, temperature=0.0)
    logger = SpeedLogger(meter, fake_dataset(0).generator, policy, SimpleNamespace(share=0.0))
    trainer = fake_trainer()
    logger.on_train_start(trainer, None)
    for moment in (10.0, 11.0, 12.5):
        now[0] = moment
        logger.on_train_batch_start(trainer)
        logger.on_train_batch_end(trainer, None, {"loss": torch.tensor([1.0])})
    assert looks[0] == 10.0
    assert 11.0 not in looks


def test_fps_is_of_the_window_and_leaves_the_prefill_out():
    now = [100.0]
    dataset = fake_dataset(0)
    meter = SpeedMeter(StageTimer(), every_seconds=2.0, now=lambda: now[0])
    policy = SimpleNamespace(epsilon=1.0, temperature=0.0)
    fps = SpeedLogger(meter, dataset.generator, policy, SimpleNamespace(share=0.0))
    trainer, outputs = fake_trainer(), {"loss": torch.tensor([1.0])}
    fps.on_train_start(trainer, None)
    now[0], dataset.generator.env_steps = 110.0, 5000  # ten seconds of prefill
    fps.on_train_batch_start(trainer)
    for second, env_steps in ((1.0, 5100), (2.0, 5200), (3.0, 5250), (4.0, 5300)):
        now[0], dataset.generator.env_steps = 110.0 + second, env_steps
        trainer.global_step = env_steps - 5000
        fps.on_train_batch_start(trainer)
        fps.on_train_batch_end(trainer, None, outputs)
    assert meter.env_steps_per_second == pytest.approx(50.0)
    assert meter.prefill_env_steps_per_second() == pytest.approx(500.0)
    assert meter.steady_env_steps_per_second() == pytest.approx(75.0)
    assert meter.steady_gradient_steps_per_second() == pytest.approx(75.0)
