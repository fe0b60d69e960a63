"""The goal ends a run only where fresh games bear it out."""

from types import SimpleNamespace

import pytest

import rl_speed
from rl_speed.config import StopConfig
from rl_speed.system.errors import UserError
from rl_speed.training.callbacks.goal import StopAtGoal
from rl_speed.training.checkpoint.reading import read_model
from rl_speed.training.ranks.group import Ranks
from tests.conftest import TINY, make_module
from tests.training.stand_ins import end, fake_dataset, fake_trainer, make_counter, make_statistics

GAMES = {"episodes": 3, "std": 0.5, "min": 18.0, "max": 21.0}


class Games:
    """Fresh games with the given means; None: the run has to end before they have."""

    def __init__(self, *means):
        self.means, self.attempts, self.notes = list(means), [], []

    def play(self, network, attempt):
        self.attempts.append(attempt)
        mean = self.means.pop(0)
        return None if mean is None else {**GAMES, "mean": mean}

    def notify(self, text):
        self.notes.append(text)


@pytest.fixture
def judged(tiny_config):
    """Counts games of the given returns, one per batch, and gives the judge, the trainer, the games and the saves."""

    def judge(returns, games, **stop):
        config = StopConfig(**{"reward": 19.5, "window_episodes": 2, "confirm_episodes": 3, **stop})
        counter = make_counter(make_statistics(2, 1, config.reward), fake_dataset(700, []))
        saves = []
        goal = StopAtGoal(
            config,
            counter,
            SimpleNamespace(save=saves.append, forget_newest=lambda: saves.append(None)),
            games,
            Ranks(),
        )
        trainer, module = fake_trainer(), make_module(tiny_config())
        for value in returns:
            counter._exchange.episode_ends = [end(value)]
            counter.on_train_batch_end(trainer)
            goal.on_train_batch_end(trainer, module)
        return goal, trainer, saves

    return judge


def test_a_goal_that_is_borne_out_ends_the_run(judged):
    goal, trainer, saves = judged([21, 21], Games(19.5))
    assert trainer.should_stop
    assert goal.reason == "solved"
    assert goal.confirmed["mean"] == 19.5
    assert (goal.failed, len(saves)) == ([], 1)


def test_a_mean_below_the_goal_is_not_even_tried(judged):
    games = Games()
    goal, trainer, saves = judged([21, 17, 21, 17], games)
    assert (goal.reason, trainer.should_stop, games.attempts, saves) == (None, False, [], [])


def test_luck_does_not_end_the_run_and_the_next_try_waits_for_new_games(judged):
    games = Games(18.97, 19.6)
    goal, trainer, _ = judged([21, 21, 21, 21], games)
    # Tried after the second game; three more have to end before the next try.
    assert (goal.reason, trainer.should_stop, games.attempts) == (None, False, [0])
    assert goal.failed == [{**GAMES, "mean": 18.97, "env_steps": 700, "seconds": 12.5}]
    assert "18.97" in games.notes[0]
    assert "training goes on" in games.notes[0]
    goal, trainer, _ = judged([21] * 5, games := Games(18.97, 19.6))
    assert (goal.reason, games.attempts) == ("solved", [0, 1])
    assert trainer.should_stop


def test_so_many_failures_end_the_run_unsolved(judged):
    games = Games(1.0, 2.0)
    goal, trainer, _ = judged([21] * 5, games, confirm_attempts=2)
    assert (goal.reason, goal.confirmed, len(goal.failed)) == ("not_confirmed", None, 2)
    assert trainer.should_stop
    assert "the run ends" in games.notes[-1]


def test_games_that_were_broken_off_decide_nothing(judged):
    goal, trainer, _ = judged([21, 21], Games(None))
    assert (goal.reason, goal.confirmed, goal.failed, trainer.should_stop) == (None, None, [], False)


def test_without_a_confirmation_the_mean_decides(judged):
    games = Games()
    goal, trainer, saves = judged([21, 21], games, confirm_episodes=0)
    assert (goal.reason, games.attempts, saves, trainer.should_stop) == ("solved", [], [], True)


def test_failed_tries_resume(judged):
    goal, _, _ = judged([21, 21], Games(18.0))
    other, _, _ = judged([], Games())
    other.load_state_dict(goal.state_dict())
    assert other.state_dict() == goal.state_dict()
    assert other.failed == goal.failed


def test_a_run_whose_tries_are_used_up_says_so_when_it_is_resumed(judged):
    goal, trainer, _ = judged([], Games(), confirm_attempts=1)
    goal.load_state_dict({"failed": [GAMES], "next_episode": 0})
    with pytest.raises(UserError, match=r"stop\.confirm_attempts = 1 .* raise it"):
        goal.on_train_start(trainer, None)
    other, trainer, _ = judged([], Games(), confirm_attempts=2)
    other.load_state_dict(goal.state_dict())
    other.on_train_start(trainer, None)


def test_the_last_checkpoint_knows_of_a_confirmation_that_failed_last(tmp_path):
    changes = {
        f"{section}.{name}": value for section, fields in TINY.items() for name, value in fields.items()
    } | {
        "envs.max_episode_frames": 100, "logging.directory": str(tmp_path), "stop.reward": -0.5,
        "stop.window_episodes": 1, "stop.confirm_episodes": 2, "stop.confirm_attempts": 1,
    }  # fmt: skip

    class Games:
        summary = staticmethod(lambda: {**GAMES, "mean": -1.0})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rl_speed.training.confirmation.play_games", lambda *_: Games)
        result = rl_speed.train("smoke", changes)
    assert (result.solved, result.stop_reason, result.confirmation) == (False, "not_confirmed", None)
    assert [games["mean"] for games in result.content["failed_confirmations"]] == [-1.0]
    state = read_model(result.checkpoint)["callbacks"]["StopAtGoal"]
    assert [games["mean"] for games in state["failed"]] == [-1.0]
    with pytest.raises(UserError, match="confirm_attempts"):
        rl_speed.train(resume=result.checkpoint)
