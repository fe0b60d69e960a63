"""Finished games, printed."""

from rl_speed.training.callbacks.episodes import EpisodePrinter
from tests.training.stand_ins import end, fake_dataset, fake_trainer, make_counter, make_statistics


def test_episode_lines_number_the_games():
    dataset = fake_dataset(ends=[end(-21), end(3, env=1)])
    counter, lines = make_counter(make_statistics(), dataset), []
    counter.on_train_batch_end(fake_trainer())
    EpisodePrinter(counter, lines.append).on_train_batch_end(fake_trainer())
    assert [line.split(",")[0] for line in lines] == ["episode 1: reward -21", "episode 2: reward 3"]
