"""Whole runs on a game that takes foresight: the program learns, and does so through its own wiring."""

import pytest

import rl_speed
from tests.corridor import EVERYTHING, RUN, Corridor, merged

WITH_ACTORS = {"actors": {"kind": "subprocess", "rollout_env_steps": 2}}
IN_RAY = {"actors": {"kind": "ray", "count": 2, "rollout_env_steps": 2}, "envs": {"count": 2}}


VARIANTS = {"plain": {}, "everything": EVERYTHING, "actors": WITH_ACTORS, "ray": IN_RAY}


def mean_return(checkpoint, epsilon):
    return rl_speed.evaluate(checkpoint, episodes=64, epsilon=epsilon, env=Corridor).mean


@pytest.mark.parametrize("name", [*list(VARIANTS)[:-1], pytest.param("ray", marks=pytest.mark.ray)])
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
