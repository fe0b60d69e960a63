"""What confirms a run: games on ale-py, whatever the run was played on, and as many of each env."""

from itertools import count
from threading import Event

import gymnasium
import numpy as np
import pytest
import torch

from rl_speed.config import load_config
from rl_speed.experience import parts
from rl_speed.system.ending import Ending
from rl_speed.training import evaluation


@pytest.mark.parametrize(
    ("override", "backend"),
    [
        ("envs.backend=native", "ale_vector"),
        ("envs.backend=cuda", "ale_vector"),
        ("envs.backend=classic", "ale_vector"),
        ("envs.backend=native envs.mode=1", "classic"),
    ],
)
def test_our_own_emulator_never_grades_itself(override, backend, monkeypatch):
    seen = []

    def make_env(config, *arguments, **named):
        seen.append(config.backend)
        return real(config, *arguments, **named)

    real = parts.make_env
    monkeypatch.setattr(parts, "make_env", make_env)
    config = load_config("baseline", override.split())
    stop = Event()
    stop.set()
    protocol = evaluation.Protocol(2, 0.01, 0)
    assert evaluation.play_games(torch.nn.Linear(1, 1), config, protocol, ending=Ending(stop)) is None
    assert set(seen) == {backend}


@pytest.mark.parametrize(("protocol_says", "played"), [(None, 0.1), (0.25, 0.25), (0.0, 0.0)])
def test_sticky_actions_are_those_of_training_unless_the_protocol_says_otherwise(protocol_says, played, monkeypatch):
    seen = []

    def make_env(config, *arguments, **named):
        seen.append(config.sticky_probability)
        return real(config, *arguments, **named)

    real = parts.make_env
    monkeypatch.setattr(parts, "make_env", make_env)
    config = load_config("baseline", ["envs.sticky_probability=0.1"])
    stop = Event()
    stop.set()
    protocol = evaluation.Protocol(2, 0.01, 0, protocol_says)
    assert evaluation.play_games(torch.nn.Linear(1, 1), config, protocol, ending=Ending(stop)) is None
    assert set(seen) == {played}


class Scripted(gymnasium.Env):
    """Games of one length and one return; the second of two actions adds 100 to it."""

    def __init__(self, length, value):
        self.observation_space = gymnasium.spaces.Box(0, 255, (20, 20), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.length, self.value, self.steps = length, value, 0

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros((20, 20), dtype=np.uint8), {"lives": 3}

    def step(self, action):
        self.steps += 1
        is_over = self.steps == self.length
        info = {"lives": 2}  # a lost life ends no game that is judged
        return np.zeros((20, 20), dtype=np.uint8), self.value * is_over + 100.0 * action, is_over, False, info


class AlwaysFirst(torch.nn.Module):
    """Values the first action."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, observation):
        return self.weight.expand(len(observation), 2)


@pytest.fixture
def play(tiny_config):
    """A function that plays on envs whose games have these lengths and returns, in turn."""

    def run(games, episodes, epsilon=0.0, **arguments):
        number = count()
        own = parts.Parts(own_env=lambda: Scripted(*games[next(number) % len(games)]))
        protocol = evaluation.Protocol(episodes, epsilon, seed=1)
        config = tiny_config(envs={"episodic_life": True})
        return evaluation.play_games(AlwaysFirst(), config, protocol, own, **arguments)

    return run


@pytest.mark.parametrize(
    ("episodes", "expected"),
    [(2, [-20, 10]), (5, [-20, -20, -20, 10, 10]), (6, [-20, -20, -20, 10, 10, 10])],
)
def test_short_games_count_no_more_often_than_long_ones(play, episodes, expected, monkeypatch):
    monkeypatch.setattr(evaluation, "MAX_ENVS", 2)
    played = play([(1, -20.0), (9, 10.0)], episodes)
    assert sorted(played.returns) == expected
    assert sorted(played.lengths_env_steps) == [1 if value < 0 else 9 for value in expected]
    assert played.mean == pytest.approx(sum(expected) / episodes)


def test_envs_that_have_played_their_games_rest_and_no_two_play_alike(tiny_config):
    made = []

    class Watched(Scripted):
        def __init__(self):
            super().__init__(*[(2, 1.0), (3, 2.0), (40, 3.0), (50, 4.0)][len(made)])
            self.steps_in_all, self.seeds = 0, []
            made.append(self)

        def reset(self, *, seed=None, options=None):
            self.seeds.append(seed)
            return super().reset(seed=seed, options=options)

        def step(self, action):
            self.steps_in_all += 1
            return super().step(action)

    own = parts.Parts(own_env=Watched)
    played = evaluation.play_games(AlwaysFirst(), tiny_config(), evaluation.Protocol(4, 0.0, seed=1), own)
    assert sorted(played.returns) == [1.0, 2.0, 3.0, 4.0]
    assert [env.steps_in_all for env in made] == [3, 3, 50, 50]  # those of a group step together
    assert len({env.seeds[0] for env in made}) == 4


def test_no_more_envs_are_made_than_games_are_played(play):
    # Three envs: the fourth length never appears.
    assert sorted(play([(1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0)], episodes=3).lengths_env_steps) == [1, 2, 3]


def test_epsilon_is_that_of_the_protocol(play):
    assert play([(20, 0.0)], episodes=8, epsilon=0.0).mean == 0.0
    # Half of 20 actions are the second one.
    assert play([(20, 0.0)], episodes=8, epsilon=1.0).mean == pytest.approx(1000.0, rel=0.25)


def test_games_that_are_stopped_in_the_middle_count_for_nothing(play):
    stop, steps = Event(), []

    def on_step(games, env_steps):
        steps.append((games, env_steps))
        if env_steps == 4:
            stop.set()

    assert play([(3, 0.0), (9, 0.0)], episodes=2, ending=Ending(stop), on_step=on_step) is None
    assert steps == [(0, 1), (0, 2), (1, 3), (1, 4)]


def test_mean_and_deviation_by_hand():
    summary = evaluation.Evaluation([1.0, 2.0, 6.0], [1, 1, 1]).summary()
    assert summary == {"episodes": 3, "mean": 3.0, "std": pytest.approx(7**0.5), "min": 1.0, "max": 6.0}
    assert evaluation.Evaluation([4.0], [1]).std == 0.0
