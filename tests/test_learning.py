"""Whole runs on a game that takes foresight: the program learns, and does so through its own wiring."""

import pytest

import rl_speed
from tests.corridor import EVERYTHING, RUN, Corridor, merged

WITH_ACTORS = {"actors": {"kind": "subprocess", "rollout_env_steps": 2}}
IN_RAY = {"actors": {"kind": "ray", "count": 2, "rollout_env_steps": 2}, "envs": {"count": 2}}


# Returns of the corridor are 0 to 1; a softmax over values needs a temperature below their differences.
CATEGORICAL = {"network": {"value": "categorical", "atoms": 21, "value_range": [-0.5, 1.5]}}
QUANTILE = {"network": {"value": "quantile", "quantiles": 11}}
MUNCHAUSEN = {"update": {"munchausen": 0.9, "entropy_temperature": 0.01}}
NOISY = {"network": {"noisy": True}, "exploration": {"epsilon_start": 0.3, "epsilon_end": 0.1}}
IMPALA = {"network": {"kind": "impala", "channels": [4, 8]}}

VARIANTS = {
    "plain": {},
    "everything": EVERYTHING,
    "actors": WITH_ACTORS,
    "categorical": CATEGORICAL,
    "quantile": QUANTILE,
    "munchausen": MUNCHAUSEN,
    "noisy": NOISY,
    "impala": IMPALA,
    "rainbow": merged(merged(EVERYTHING, CATEGORICAL), NOISY),
    "munchausen, quantile": merged(MUNCHAUSEN, QUANTILE),
    "munchausen, categorical": merged(MUNCHAUSEN, CATEGORICAL),
    "ray": IN_RAY,
}


def mean_return(checkpoint, epsilon):
    return rl_speed.evaluate(checkpoint, episodes=64, epsilon=epsilon, env=Corridor).mean


# The others are tried by the slow tests.
FAST = ("plain", "everything")
# What players in Ray play is equal to what others play: a test of theirs.
MARKS = dict.fromkeys(FAST, ()) | {"ray": [pytest.mark.ray, pytest.mark.exhaustive]}


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, pytest.mark.slow)) for name in VARIANTS])
def test_a_run_learns_to_look_ahead(name, tmp_path):
    content = merged(merged(RUN, VARIANTS[name]), {"logging": {"directory": str(tmp_path)}})
    if name == "ray":
        pytest.importorskip("ray")
    result = rl_speed.train("baseline", content, seed=1, env=Corridor)
    # At random 0.23; who values only the next reward turns left for 0.1.
    assert mean_return(result.checkpoint, epsilon=1.0) < 0.45
    assert mean_return(result.checkpoint, epsilon=0.02) > 0.85
    # The games of the training itself, in which 15 % of the actions are random.
    assert result.avg_reward > 0.6
