"""Every training game is kept once, also where a checkpoint is written between."""

from types import SimpleNamespace

import pytest

from rl_speed.records import EpisodeEnd
from rl_speed.suite.record import EpisodeRecord, Episodes, read_episodes, write_episodes
from rl_speed.training.callbacks.episodes import EpisodeCounter, GamesRestarted


class Counter(EpisodeCounter):
    """Counts what a test says."""

    def __init__(self):
        self.statistics = SimpleNamespace(episodes=0, restart_games=lambda: None)
        self.exchanged = []
        self.newest = []
        self.seconds = 0.0

    def end(self, *games):
        self.newest = [EpisodeEnd(0, value, 5, env_steps) for value, env_steps in games]
        self.statistics.episodes += len(games)
        self.seconds += 1.0

    def on_train_batch_end(self, trainer):
        self.end(*self.exchanged)

    def place(self):
        return {"env_steps": 99, "seconds": self.seconds}


@pytest.fixture
def counter():
    return Counter()


def record_of(counter):
    record = EpisodeRecord()
    record.setup(SimpleNamespace(callbacks=[counter]), None, "fit")
    return record


def test_a_game_is_kept_once_whoever_comes_first(counter):
    record = record_of(counter)
    counter.end((1.0, 10), (2.0, 20))
    saved = record.state_dict()  # a checkpoint of the same batch
    assert saved["returns"] == [1.0, 2.0]
    assert saved["now"] == {"env_steps": 99, "seconds": 1.0}
    record.on_train_batch_end(None)
    counter.end()
    record.on_train_batch_end(None)
    counter.end((3.0, 30))
    record.on_train_batch_end(None)
    assert record.episodes == Episodes([1.0, 1.0, 3.0], [10, 20, 30], [1.0, 2.0, 3.0])
    assert saved["returns"] == [1.0, 2.0]  # a checkpoint does not change with the run


def test_a_resumed_run_goes_on_from_the_checkpoint(counter):
    record = record_of(counter)
    counter.end((1.0, 10))
    saved = record.state_dict()
    again = record_of(counter)
    again.load_state_dict(saved)
    counter.end((2.0, 20))
    again.on_train_batch_end(None)
    assert again.episodes.returns == [1.0, 2.0]


def test_games_that_ended_before_a_resumed_run_began_its_games_anew_are_kept(counter):
    record = record_of(counter)
    counter.end((1.0, 10))
    again = record_of(counter)
    again.load_state_dict(record.state_dict())
    counter.exchanged = [(2.0, 20), (3.0, 30)]  # what the checkpoint held
    GamesRestarted(SimpleNamespace(exchange=lambda: None), counter).on_train_start(None, None)
    again.on_train_start(None, None)
    counter.end((4.0, 40))
    again.on_train_batch_end(None)
    assert again.episodes.returns == [1.0, 2.0, 3.0, 4.0]


def test_games_that_were_counted_elsewhere_do_not_make_others_count_twice(counter):
    record = record_of(counter)
    counter.end((1.0, 10))
    counter.newest = []
    counter.end((2.0, 20), (3.0, 30))
    record.state_dict()
    record.on_train_batch_end(None)
    assert record.episodes.returns == [2.0, 3.0]


def test_games_come_back_from_their_file(tmp_path):
    episodes = Episodes([0.5, 1.25], [10, 20], [-21.0, 0.1])
    write_episodes(tmp_path / "episodes.csv", episodes)
    assert read_episodes(tmp_path / "episodes.csv") == episodes
    (tmp_path / "episodes.csv").write_text("seconds,env_steps,return\n1,2\n")
    with pytest.raises((ValueError, IndexError)):
        read_episodes(tmp_path / "episodes.csv")
