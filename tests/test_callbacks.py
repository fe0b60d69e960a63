"""Schedules, statistics and stops, each against literal numbers."""

import threading
from types import SimpleNamespace

import pytest
import torch

from rl_speed.config import StopConfig
from rl_speed.records import EpisodeEnd
from rl_speed.system.ending import Ending
from rl_speed.system.stage_timer import StageTimer
from rl_speed.training.callbacks.ends import StopAtLimits, StopAtReward
from rl_speed.training.callbacks.episodes import EpisodeCounter, EpisodePrinter
from rl_speed.training.callbacks.learning import TargetSync
from rl_speed.training.callbacks.schedules import Annealing, EpsilonDecay
from rl_speed.training.callbacks.speed import SpeedLogger
from rl_speed.training.logger import RunLogger
from rl_speed.training.speed import SpeedMeter
from rl_speed.training.statistics import EpisodeStatistics
from tests.conftest import make_module


def fake_trainer(global_step=0):
    strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, all=True: decision)
    return SimpleNamespace(
        global_step=global_step,
        should_stop=False,
        strategy=strategy,
        world_size=1,
        logger=None,
        global_rank=0,
    )


def fake_dataset(env_steps=0, ends=()):
    pending = list(ends)

    def take():
        taken = pending[:]
        pending.clear()
        return taken

    return SimpleNamespace(generator=SimpleNamespace(env_steps=env_steps), take_episode_ends=take)


def make_statistics(window=4, envs=2, reward=19.5):
    return EpisodeStatistics(StopConfig(window_episodes=window, reward=reward), envs)


def make_counter(statistics, dataset):
    return EpisodeCounter(statistics, dataset, elapsed_seconds=lambda: 12.5)


def make_decay(config, dataset, policy, annealing):
    return EpsilonDecay(config.exploration, config.replay.prefill_env_steps, dataset, policy, annealing)


def end(value, env=0, env_steps=100):
    return EpisodeEnd(env, value, 50, env_steps)


def test_the_mean_is_over_the_window_only():
    statistics = make_statistics(window=3)
    for value in (-21, 1, 2, 3):
        statistics.count(end(value), 0, 12.5)
    assert statistics.average_return == 2.0
    assert statistics.episodes == 4


def test_solved_needs_a_full_window_and_a_game_of_every_env():
    statistics = make_statistics(window=4, envs=2)
    for _ in range(3):
        statistics.count(end(21, env=0), 0, 12.5)
    assert not statistics.is_solved
    statistics.count(end(21, env=0), 0, 12.5)
    # Four games, but env 1 is still playing its first: short games end first.
    assert not statistics.is_solved
    statistics.count(end(21, env=1), 0, 12.5)
    assert statistics.is_solved


@pytest.mark.parametrize(("values", "expected"), [((19, 20, 19, 20), True), ((19, 20, 19, 19), False)])
def test_the_goal_itself_is_enough(values, expected):
    statistics = make_statistics(window=4, envs=1)
    for value in values:
        statistics.count(end(value), 0, 12.5)
    assert statistics.is_solved == expected


def test_clocks_note_when_each_criterion_was_first_met():
    statistics = make_statistics(window=2, envs=1)
    for number, value in enumerate([17, 18, 18, 20, 21, 21]):
        statistics.count(end(value, env_steps=1000 * number), number, 12.5)
    assert statistics.clocks["mean100_18"] == {"seconds": 12.5, "env_steps": 2000, "gradient_steps": 2}
    # The exponential mean starts at the first return, 17.
    assert statistics.clocks["ema_17"]["env_steps"] == 0
    assert statistics.clocks["mean100_19_5"]["env_steps"] == 4000


def test_the_exponential_mean_by_hand():
    statistics = make_statistics()
    for value in (10, 20, 0):
        statistics.count(end(value), 0, 12.5)
    assert statistics.ema == pytest.approx(0.98 * (0.98 * 10 + 0.02 * 20))


def test_statistics_resume():
    first, second = make_statistics(), make_statistics()
    for number in range(7):
        first.count(end(number, env=number % 2), number, 12.5)
    second.load_state_dict(first.state_dict())
    for statistics in (first, second):
        statistics.count(end(30, env=1), 9, 12.5)
    assert first.state_dict() == second.state_dict()
    assert first.average_return == second.average_return


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


def test_epsilon_follows_env_steps_not_frames_or_gradient_steps(tiny_config):
    config = tiny_config(exploration={"epsilon_start": 1.0, "epsilon_end": 0.0, "decay_env_steps": 100})
    policy = SimpleNamespace(epsilon=1.0)
    dataset = fake_dataset(env_steps=40 + 25)
    callback = make_decay(config, dataset, policy, Annealing(config.update, dataset, make_statistics()))
    callback.on_train_batch_end(fake_trainer(global_step=10**6))
    assert policy.epsilon == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("start", "gradient_step", "is_synced"),
    [(8, 9, False), (9, 10, True), (12, 20, True), (9, 13, True), (10, 19, False)],
)
def test_the_target_is_synced_every_so_many_gradient_steps(tiny_config, start, gradient_step, is_synced):
    config = tiny_config()
    module = make_module(config)
    with torch.no_grad():
        module.online_network.advantage.bias += 1.0
    callback = TargetSync(config.update)
    callback.on_train_start(fake_trainer(start), module)
    callback.on_train_batch_end(fake_trainer(gradient_step), module)
    same = torch.equal(module.online_network.advantage.bias, module.target_network.advantage.bias)
    assert same == is_synced


def test_a_soft_sync_moves_by_its_rate(tiny_config):
    config = tiny_config(update={"target_sync_rate": 0.25})
    module = make_module(config)
    before = module.target_network.advantage.bias.clone()
    with torch.no_grad():
        module.online_network.advantage.bias += 1.0
    TargetSync(config.update).on_train_batch_end(fake_trainer(1), module)
    assert torch.allclose(module.target_network.advantage.bias, before + 0.25)


def test_the_learning_rate_falls_in_a_straight_line(tiny_config, monkeypatch):
    config = tiny_config(update={"learning_rate": 1e-3, "final_learning_rate": 1e-4, "anneal_gradient_steps": 100})
    module = make_module(config)
    optimizer = module.configure_optimizers()
    monkeypatch.setattr(module, "optimizers", lambda: optimizer)
    for gradient_step, expected in ((0, 1e-3), (50, 5.5e-4), (100, 1e-4), (1000, 1e-4)):
        Annealing(config.update, fake_dataset(), make_statistics()).on_train_batch_start(
            fake_trainer(gradient_step), module
        )
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)


def test_annealing_follows_the_returns_and_never_goes_back(tiny_config, monkeypatch):
    config = tiny_config(
        update={
            "learning_rate": 1e-3,
            "final_learning_rate": 1e-4,
            "env_steps_per_gradient_step": 20.0,
            "final_env_steps_per_gradient_step": 40.0,
            "anneal_returns": [0.0, 10.0],
        },
        exploration={"epsilon_end": 0.1, "annealed_epsilon": 0.0},
    )
    policy = SimpleNamespace(epsilon=1.0)
    dataset = fake_dataset(env_steps=10**6)
    module = make_module(config)
    optimizer = module.configure_optimizers()
    monkeypatch.setattr(module, "optimizers", lambda: optimizer)
    statistics = make_statistics(window=100)
    callback = Annealing(config.update, dataset, statistics)
    expectations = ((5, 19, 1e-3, 20), (5, 1, 5.5e-4, 30), (-20, 20, 5.5e-4, 30), (12, 20, 1e-4, 40))
    for value, games, expected, ratio in expectations:
        for _ in range(games):
            statistics.count(end(value), 0, 12.5)
        callback.on_train_batch_start(fake_trainer(), module)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)
        assert dataset.env_steps_per_gradient_step == ratio
        make_decay(config, dataset, policy, callback).on_train_batch_end()
        assert policy.epsilon == pytest.approx(0.1 * (40 - ratio) / 20)
    resumed = Annealing(config.update, fake_dataset(), make_statistics())
    resumed.load_state_dict(callback.state_dict())
    resumed.on_train_batch_start(fake_trainer(), module)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)


def test_fps_is_of_the_window_and_leaves_the_prefill_out(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("rl_speed.training.speed.time.perf_counter", lambda: now[0])
    dataset = fake_dataset(0)
    meter = SpeedMeter(StageTimer(), every_seconds=2.0)
    fps = SpeedLogger(meter, dataset.generator, SimpleNamespace(epsilon=1.0))
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


def test_a_resumed_run_explores_as_its_env_steps_say(tiny_config):
    config = tiny_config(exploration={"epsilon_end": 0.1, "decay_env_steps": 100})
    policy = SimpleNamespace(epsilon=1.0)
    dataset = fake_dataset(env_steps=10_000)
    annealing = Annealing(config.update, dataset, make_statistics())
    make_decay(config, dataset, policy, annealing).on_train_start(fake_trainer(), None)
    assert policy.epsilon == pytest.approx(0.1)


def test_a_full_disk_costs_the_curves_and_not_the_run(tmp_path, monkeypatch):
    warnings = []
    logger = RunLogger(str(tmp_path), None, warnings.append)
    logger.write({"reward": 1.0}, 1)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logger.experiment, "add_scalar", fail)
    logger.write({"reward": 1.0}, 2)
    logger.write({"reward": 1.0}, 3)
    logger.save()
    logger.finalize("success")
    assert len(warnings) == 1
    assert "No space left" in warnings[0]


def test_episode_lines_number_the_games():
    dataset = fake_dataset(ends=[end(-21), end(3, env=1)])
    counter, lines = make_counter(make_statistics(), dataset), []
    counter.on_train_batch_end(fake_trainer())
    EpisodePrinter(counter, lines.append).on_train_batch_end(fake_trainer())
    assert [line.split(",")[0] for line in lines] == ["episode 1: reward -21", "episode 2: reward 3"]
