"""Schedules, each against literal numbers."""

import math
from types import SimpleNamespace

import pytest

from rl_speed.training.callbacks.schedules import Annealing
from tests.conftest import make_module
from tests.training.stand_ins import end, fake_dataset, fake_trainer, make_decay, make_statistics


def test_epsilon_follows_env_steps_not_frames_or_gradient_steps(tiny_config):
    config = tiny_config(exploration={"epsilon_start": 1.0, "epsilon_end": 0.0, "decay_env_steps": 100})
    policy = SimpleNamespace(epsilon=1.0)
    dataset = fake_dataset(env_steps=40 + 25)
    callback = make_decay(config, dataset, policy, Annealing(config, dataset, make_statistics()))
    callback.on_train_batch_end(fake_trainer(global_step=10**6))
    assert policy.epsilon == pytest.approx(0.75)


def test_the_learning_rate_falls_in_a_straight_line(tiny_config, monkeypatch):
    config = tiny_config(update={"learning_rate": 1e-3}, annealing={"learning_rate": 1e-4, "gradient_steps": 100})
    module = make_module(config)
    optimizer = module.configure_optimizers()
    monkeypatch.setattr(module, "optimizers", lambda: optimizer)
    for gradient_step, expected in ((0, 1e-3), (50, 5.5e-4), (100, 1e-4), (1000, 1e-4)):
        Annealing(config, fake_dataset(), make_statistics()).on_train_batch_start(fake_trainer(gradient_step), module)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)


def test_annealing_follows_the_returns(tiny_config, monkeypatch):
    config = tiny_config(
        update={"learning_rate": 1e-3, "env_steps_per_gradient_step": 20.0},
        replay={"n_step": 10, "gamma": 0.9, "priority_exponent": 0.6, "importance_exponent": 0.4},
        exploration={"epsilon_end": 0.1, "temperature": 0.03},
        annealing={
            "returns": [0.0, 10.0],
            "fall_back_episodes": None,
            "learning_rate": 1e-4,
            "env_steps_per_gradient_step": 40.0,
            "epsilon": 0.0,
            "temperature": 0.01,
            "n_step": 3,
            "gamma": 0.99,
            "importance_exponent": 1.0,
        },
    )
    policy = SimpleNamespace(epsilon=1.0)
    dataset = fake_dataset(env_steps=10**6)
    module = make_module(config)
    optimizer = module.configure_optimizers()
    monkeypatch.setattr(module, "optimizers", lambda: optimizer)
    statistics = make_statistics(window=100)
    callback = Annealing(config, dataset, statistics)
    expectations = (
        (5, 19, 1e-3, 20, (10, 0.9, 0.4)),
        (5, 1, 5.5e-4, 30, (6, 0.945, 0.7)),
        (-20, 20, 5.5e-4, 30, (6, 0.945, 0.7)),
        (12, 20, 1e-4, 40, (3, 0.99, 1.0)),
    )
    for value, games, expected, ratio, led in expectations:
        for _ in range(games):
            statistics.count(end(value), 0, 12.5)
        callback.on_train_batch_start(fake_trainer(), module)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)
        assert dataset.env_steps_per_gradient_step == ratio
        assert dataset.led == pytest.approx(led)
        make_decay(config, dataset, policy, callback).on_train_batch_end()
        assert policy.epsilon == pytest.approx(0.1 * (40 - ratio) / 20)
        assert policy.temperature == pytest.approx(0.01 + 0.02 * (40 - ratio) / 20)
    resumed_dataset = fake_dataset()
    resumed = Annealing(config, resumed_dataset, make_statistics())
    resumed.load_state_dict(callback.state_dict())
    optimizer.param_groups[0]["lr"] = 1.0
    resumed.on_train_start(fake_trainer(), module)  # what is drawn for the first batch is right already
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)
    assert resumed_dataset.led == pytest.approx((3, 0.99, 1.0))


def test_annealing_goes_back_slowly_where_returns_fall(tiny_config):
    config = tiny_config(
        update={"learning_rate": 1e-3},
        annealing={"returns": [0.0, 10.0], "fall_back_episodes": 20, "learning_rate": 1e-4},
    )
    statistics, module = make_statistics(window=100), make_module(config)
    module.set_learning_rate = lambda rate: None
    callback = Annealing(config, fake_dataset(), statistics)

    def play(value, games):
        for _ in range(games):
            statistics.count(end(value), 0, 12.5)
        callback.on_train_batch_start(fake_trainer(), module)
        return callback.share

    assert play(10.0, 20) == 1.0
    assert callback.on_train_batch_start(fake_trainer(), module) is None
    assert callback.share == 1.0  # no game, no change
    assert play(8.0, 20) == pytest.approx(0.8 + 0.2 * math.exp(-1))
    state = callback.state_dict()
    assert play(8.0, 10) == pytest.approx(0.8 + 0.2 * math.exp(-1.5))
    resumed = Annealing(config, fake_dataset(), statistics)
    resumed.load_state_dict(state)
    resumed.on_train_batch_start(fake_trainer(), module)
    assert resumed.share == callback.share  # the ten games that it had not seen count
    assert play(-5.0, 400) == pytest.approx(0.0, abs=1e-6)  # and never below the first values
    assert play(9.0, 20) == pytest.approx(0.9)


def test_a_resumed_run_explores_as_its_env_steps_say(tiny_config):
    config = tiny_config(exploration={"epsilon_end": 0.1, "decay_env_steps": 100, "temperature": 0.03})
    policy = SimpleNamespace(epsilon=1.0)
    dataset = fake_dataset(env_steps=10_000)
    annealing = Annealing(config, dataset, make_statistics())
    make_decay(config, dataset, policy, annealing).on_train_start(fake_trainer(), None)
    assert policy.epsilon == pytest.approx(0.1)
    assert policy.temperature == pytest.approx(0.03)
