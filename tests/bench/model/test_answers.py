"""The bench's answers in words hold what was measured."""

from rl_speed.bench import contestants
from rl_speed.bench.model import answers, rows
from tests.bench.measurements import measured_rows, noted, solve_run


def test_where_more_envs_stop_paying():
    assert answers.stops_at([(1, 100.0), (2, 180.0), (4, 184.0), (8, 185.0)]) == 2
    assert answers.stops_at([(1, 100.0), (2, 101.0)]) == 1
    assert answers.stops_at([(1, 100.0), (2, 50.0), (4, 60.0)]) == 1
    assert answers.stops_at([(1, 100.0), (2, 101.0), (4, 200.0), (8, 400.0)]) == 8


def sweep_rows():
    speeds = {("train", 1): 40.0, ("train", 2): 44.0, ("train", 4): 44.5, ("play", 1): 500.0, ("play", 2): 990.0}
    chosen = [contestants.envs_point(count, kind) for kind, count in speeds]
    described_points = [
        {"name": c.name, "group": "envs", "point": c.point, "about": "", "package": None} for c in chosen
    ]
    measurements = [noted(c.name, 0, s, group="envs") for c, s in zip(chosen, speeds.values(), strict=True)]
    return rows.make_rows(described_points, measurements)


def test_answers_say_what_was_measured():
    found, _ = measured_rows()
    assert "x 0.95" in answers.autograd(found)
    text = answers.envs(sweep_rows())
    assert "Training: more envs pay up to 2, where it is x 1.10" in text
    assert "CPU 90 %" in text
    assert answers.envs([]) is None
    assert answers.wrappers([]) is None
    assert answers.actors([]) is None


def test_a_run_that_does_not_solve_is_reported_as_such():
    found, _ = measured_rows()
    text = answers.solved(found, [solve_run(0, True), solve_run(1, False, 900.0)])
    assert "solved with 1 of 2 seeds (0): median 5:00, 5:00 to 5:00. Fewer than 3 seeds" in text
    assert "seed 1 did not solve in 15:00: reached 3.00" in text
    assert "extrapolated, 900,000 env steps" in text
    assert f"x {900_000 / 40 / 300:.0f}:" in text
    assert "extrapolated" not in answers.solved(found, [solve_run(0, True)], "breakout")
    doubted = solve_run(0, True) | {"confirmation": {"mean": 18.9, "std": 1.0}}
    assert "does not bear the stop out" in answers.solved(found, [doubted])
    assert "does not bear" not in text
