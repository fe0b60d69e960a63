"""The bench's answers in words hold what was measured."""

import pytest

from rl_speed.bench import contestants
from rl_speed.bench.model import answers, rows
from tests.bench.measurements import described, measured_rows, measurement


def test_where_more_envs_stop_paying():
    assert answers.stops_at([(1, 100.0), (2, 180.0), (4, 184.0), (8, 185.0)]) == 2
    assert answers.stops_at([(1, 100.0), (2, 101.0)]) == 1
    assert answers.stops_at([(1, 100.0), (2, 50.0), (4, 60.0)]) == 1
    assert answers.stops_at([(1, 100.0), (2, 101.0), (4, 200.0), (8, 400.0)]) == 8


def sweep_rows(points, speeds, group="envs"):
    """Rows of a sweep from its contestants and their speeds."""
    entered = [{"name": c.name, "group": group, "point": c.point, "about": "", "package": None} for c in points]
    return rows.make_rows(
        entered, [measurement(c.name, 0, value, group=group) for c, value in zip(points, speeds, strict=True)]
    )


def envs_rows():
    speeds = {("train", 1): 40.0, ("train", 2): 44.0, ("train", 4): 44.5, ("play", 1): 500.0, ("play", 2): 990.0}
    return sweep_rows([contestants.envs_point(count, kind) for kind, count in speeds], speeds.values())


def test_more_envs():
    text = answers.envs(envs_rows())
    assert "Training: more envs pay up to 2, x 1.10 samples/s over one env (CPU 90 % busy" in text
    assert "the last doubling, to 4, gave x 1.01 samples/s" in text
    assert answers.envs_in_short(envs_rows()) == "pay up to 2: x 1.10 samples/s over one"
    assert answers.envs([]) is None
    assert answers.envs_in_short([]) is None


def test_processes_and_networks_are_compared_in_pairs():
    points = contestants.actors_points()[:5]
    # The last two differ in nothing but the networks: 1, then 2.
    text = answers.actors(sweep_rows(points, (40.0, 60.0, 44.0, 50.0, 55.0), "actors"))
    assert "5 of 5 combinations run; the best is 1 x 4 envs with 1 network(s), x 1.50 samples/s over 1 x 1" in text
    assert "several acting networks at once run at x 1.10 of one's speed" in text
    assert answers.actors([]) is None


def test_light_wrappers_one_at_a_time():
    points = contestants.wrappers_points()[:2]
    text = answers.wrappers(sweep_rows(points, (40.0, 50.0), "wrappers"))
    assert "no no-op start x 1.25 samples/s (update 20.00 -> 16.00 ms per env step)" in text
    assert answers.wrappers([]) is None


def test_what_ranks_and_actors_gain_and_what_limits_them():
    points = contestants.devices_points(0, 2)
    assert [point.name for point in points[:2]] == ["fast_cpu: 1 rank", "fast_cpu: 2 ranks"]
    found = sweep_rows(points, (100.0, 75.0, 50.0, 100.0, 90.0, 80.0), "devices")
    for row in found:
        row["time_shares"] = {"update": 0.7, "reduce": 0.2, "wait": 0.02, "other": 0.08}
    text = answers.devices(found)
    assert "2 run at x 0.75 of one (efficiency 38 %), 4 run at x 0.50 of one (efficiency 12 %)" in text
    assert "One keeps the cores 90 % busy" in text
    assert "20 % of the time is the sum of gradients and waiting for it" in text
    assert "One actor is waited for 2 % of the time: more of them cannot help." in text
    for row in found:
        row["cpu_percent"] = 40.0
    assert "waiting for each other, takes 20 % of the time" in answers.devices(found)
    for row in found:
        row["time_shares"] = {"update": 0.5, "reduce": 0.05, "wait": 0.4, "other": 0.05}
    assert "With 4 most of the learner's time goes to update, 50 %." in answers.devices(found)
    assert answers.devices(found[:1]) is None
    assert answers.devices([]) is None


def test_autograd():
    ladder, _ = measured_rows()
    assert "x 0.95" in answers.autograd(ladder)
    assert answers.autograd([]) is None


def test_no_peer_stands_alone():
    speeds = {"baseline": 40.0, "sb3": 25.0, "sb3_every_step": 26.0, "single_file": 28.0}
    group = {name: "ladder" if name == "baseline" else "peers" for name in speeds}
    made = [described(name, group=group[name])[0] for name in speeds]
    text = answers.peers(rows.make_rows(made, [measurement(n, 0, v, group=group[n]) for n, v in speeds.items()]))
    for name, value in speeds.items():
        assert f"`{name}` from {32 * value:,.0f} (x {value / 40:.2f} of `baseline`)" in text
    assert text.index("single_file") < text.index("sb3_every_step") < text.index("`sb3`")


@pytest.mark.parametrize("asked", [answers.peers, answers.autograd, answers.envs, answers.actors, answers.wrappers])
def test_nothing_is_said_of_a_rung_that_failed(asked):
    failed = {"name": "baseline", "group": "ladder", "repeat": 0, "error": "broke"}
    assert asked(rows.make_rows(described("baseline"), [failed])) is None
