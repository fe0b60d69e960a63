"""Stand-ins for what callbacks are given."""

from types import SimpleNamespace

from rl_speed.config import StopConfig
from rl_speed.records import EpisodeEnd
from rl_speed.training.callbacks.episodes import EpisodeCounter
from rl_speed.training.callbacks.schedules import EpsilonDecay
from rl_speed.training.statistics import EpisodeStatistics


def fake_trainer(global_step=0):
    return SimpleNamespace(
        global_step=global_step,
        should_stop=False,
        logger=None,
        global_rank=0,
        is_global_zero=True,
    )


def fake_dataset(env_steps=0, ends=()):
    pending = list(ends)

    def take(most=None):
        taken = pending[:most]
        del pending[:most]
        return taken

    dataset = SimpleNamespace(
        generator=SimpleNamespace(env_steps=env_steps), env_steps=env_steps, take_episode_ends=take
    )
    dataset.replay = SimpleNamespace(lead=lambda *led: setattr(dataset, "led", led))
    return dataset


def make_statistics(window=4, envs=2, reward=19.5):
    return EpisodeStatistics(StopConfig(window_episodes=window, reward=reward), envs)


def fake_exchange(ends=(), seconds=12.5):
    return SimpleNamespace(episode_ends=list(ends), seconds=seconds, elapsed_seconds=lambda: seconds)


def make_counter(statistics, dataset):
    return EpisodeCounter(statistics, dataset, fake_exchange(dataset.take_episode_ends()))


def make_decay(config, dataset, policy, annealing):
    return EpsilonDecay(config, dataset, policy, annealing)


def end(value, env=0, env_steps=100):
    return EpisodeEnd(env, value, 50, env_steps)
