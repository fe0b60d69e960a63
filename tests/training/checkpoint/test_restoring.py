"""What a resumed run finds beside its networks."""

import random

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

import rl_speed
from rl_speed.training.checkpoint.reading import read_experience, read_model
from tests.conftest import TINY
from tests.corridor import Corridor


@pytest.fixture
def train(tmp_path):
    """Trains on the corridor, whose games cannot be saved, up to a number of gradient steps."""

    def run(gradient_steps, folder="run", **arguments):
        overrides = {
            "stop": {"max_gradient_steps": gradient_steps, "confirm_episodes": 0},
            "logging": {"directory": str(tmp_path / folder)},
        }
        if "resume" not in arguments:
            overrides = {**TINY, **overrides, "logging": {**TINY["logging"], **overrides["logging"]}}
        preset = None if "resume" in arguments else "baseline"
        return rl_speed.train(preset, overrides, env=Corridor, **arguments)

    return run


def test_games_that_are_started_anew_do_not_continue_what_the_replay_holds(train):
    first = train(10)
    before = read_experience(first.checkpoint, 0)["replay"]
    last = before["rows_written"] - 1
    ring = before["ring"]
    assert not (ring["truncated"] | ring["terminated"])[last].any(), "a game ended just there: choose another length"
    second = train(60, resume="last")
    ring = read_experience(second.checkpoint, 0)["replay"]["ring"]
    assert ring["truncated"][last].all()
    assert ring["is_first"][last + 1].all()
    # The short games of a start end first: means begin anew with them.
    statistics = read_model(second.checkpoint)["callbacks"]["EpisodeStatistics"]
    assert 0 < len(statistics["recent"]) == second.episodes - first.episodes
    for name in ("frame", "action", "reward"):
        assert torch.equal(ring[name][: last + 1], before["ring"][name]), name


class Draws(Callback):
    """Draws from the global generators after each batch, as a network with dropout would."""

    def __init__(self):
        self.values = []

    def on_train_batch_end(self, *_):
        self.values.append((torch.rand(1).item(), random.random(), np.random.rand()))


def seed_everything(seed):
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def test_the_global_random_generators_go_on_where_they_were(train):
    whole, first, second = Draws(), Draws(), Draws()
    seed_everything(1)
    train(12, "whole", callbacks=[whole])
    seed_everything(1)
    train(8, callbacks=[first])
    seed_everything(2)
    train(12, resume="last", callbacks=[second])
    assert first.values + second.values == whole.values
