"""What was started is ended again where a part of the line cannot be made."""

import pytest

from rl_speed.system.ending import Ending
from rl_speed.training import build
from rl_speed.training.plan import make_plan
from tests.conftest import CountingEnv


@pytest.mark.parametrize("part", ["make_replay", "DQNModule", "InProcessGenerator", "ExperienceDataset"])
def test_games_end_where_a_part_fails(part, tiny_config, monkeypatch):
    plan, env = make_plan(tiny_config()), CountingEnv([5])
    monkeypatch.setattr(type(plan.parts), "make_env", lambda *_, **__: env)

    def fail(*_, **__):
        raise RuntimeError("no memory")

    monkeypatch.setattr(build, part, fail)
    with pytest.raises(RuntimeError, match="no memory"):
        build.make_line(plan, Ending())
    assert env.is_closed


def test_no_actor_is_started_before_what_may_fail(tiny_config, monkeypatch):
    plan = make_plan(tiny_config(actors={"kind": "subprocess"}))

    def fail(*_, **__):
        raise RuntimeError("no memory")

    monkeypatch.setattr(build, "make_replay", fail)
    monkeypatch.setattr(build, "start_actors", lambda *_: pytest.fail("started"))
    with pytest.raises(RuntimeError, match="no memory"):
        build.make_line(plan, Ending())
