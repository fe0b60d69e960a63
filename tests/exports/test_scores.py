"""Where the score of a page comes from."""

import json
import shutil

import pytest

from rl_speed.exports.scores import confirmed, failed_means, read_result, score_of
from rl_speed.training.checkpoint.folders import resolve
from rl_speed.training.checkpoint.reading import read_model
from rl_speed.training.evaluation import Evaluation, Protocol


def test_the_confirmation_of_the_run_counts_for_its_last_checkpoint(run_folder, agent):
    folder = resolve(run_folder)
    content = read_model(folder)
    result = read_result(folder, content)
    games = json.loads((run_folder / "result.json").read_text())["confirmation"]
    score = confirmed(agent, result)
    assert (score.episodes, score.mean, score.std) == (2, games["mean"], games["std"])
    assert score.epsilon == 0.25
    assert "the confirmation at the end of the training run, computed in bf16" in score.origin
    assert confirmed(agent, None) is None


@pytest.mark.parametrize(
    "other",
    [
        {"global_step": 39},
        {"callbacks": {"EpisodeStatistics": {"episodes": 10**6}}},  # of as many gradient steps, by another way
        {"rl_speed": {"preset": "smoke", "config": {}}},
    ],
)
def test_another_network_of_the_same_run_was_not_judged_by_it(other, run_folder):
    folder = resolve(run_folder)
    content = dict(read_model(folder))
    assert read_result(folder, content) is not None
    assert read_result(folder, {**content, **other}) is None


@pytest.mark.parametrize("games", [{"episodes": 2, "mean": 1.0, "std": 0.0}, {}, [1.0], "many", None])
def test_a_result_of_another_make_is_no_score(games, agent):
    assert confirmed(agent, {"confirmation": games}) is None
    assert failed_means({"failed_confirmations": games}) == []


def test_a_checkpoint_away_from_its_run_has_no_result(run_folder, tmp_path):
    shutil.copytree(resolve(run_folder), tmp_path / "alone")
    assert read_result(tmp_path / "alone", read_model(tmp_path / "alone")) is None


def test_games_that_were_played_say_how():
    score = score_of(Evaluation([1.0, 3.0], [10, 20]), Protocol(2, 0.01, 7))
    assert (score.episodes, score.mean, score.min, score.max, score.epsilon) == (2, 2.0, 1.0, 3.0, 0.01)
    assert "with seed 7" in score.origin
