"""Where the score of a page comes from."""

import json
import shutil

from rl_speed.exports.scores import confirmed, read_result, score_of
from rl_speed.training.checkpoint.folders import resolve
from rl_speed.training.checkpoint.reading import read_model
from rl_speed.training.evaluation import Evaluation, Protocol


def test_the_confirmation_of_the_run_counts_for_its_last_checkpoint(run_folder, agent):
    folder = resolve(run_folder)
    steps = read_model(folder)["global_step"]
    result = read_result(folder, steps)
    games = json.loads((run_folder / "result.json").read_text())["confirmation"]
    score = confirmed(agent, result)
    assert (score.episodes, score.mean, score.std) == (2, games["mean"], games["std"])
    assert score.epsilon == 0.25
    assert "the confirmation at the end of the training run, computed in bf16" in score.origin
    # Another network of the same run was not judged by it.
    assert read_result(folder, steps - 1) is None
    assert confirmed(agent, None) is None


def test_a_checkpoint_away_from_its_run_has_no_result(run_folder, tmp_path):
    shutil.copytree(resolve(run_folder), tmp_path / "alone")
    assert read_result(tmp_path / "alone", 40) is None


def test_games_that_were_played_say_how():
    score = score_of(Evaluation([1.0, 3.0], [10, 20]), Protocol(2, 0.01, 7))
    assert (score.episodes, score.mean, score.min, score.max, score.epsilon) == (2, 2.0, 1.0, 3.0, 0.01)
    assert "with seed 7" in score.origin
