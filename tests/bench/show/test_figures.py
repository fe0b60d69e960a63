"""The plots show the rows' numbers."""

from rl_speed.bench.show.figures import figures
from tests.bench.measurements import measured_rows


def ladder_figures(**speeds):
    ladder, _ = measured_rows(**speeds)
    return figures({"rows": ladder, "expectations": [], "solve": []})


def test_samples_come_first():
    samples, env_steps, _ = ladder_figures(native=80.0)
    assert samples.layout.title.text == "Samples learned from per second"
    assert list(samples.data[0].y) == ["baseline", "n_envs", "parallel", "slow_grads", "native"]
    assert list(samples.data[0].x) == [32 * speed for speed in (40, 42, 41, 38, 80)]
    assert list(env_steps.data[0].x) == [40, 42, 41, 38, 80]


def test_bars_start_at_zero_while_the_smallest_can_be_seen():
    assert ladder_figures(native=80.0)[1].layout.xaxis.type == "linear"
    assert ladder_figures(native=4000.0)[1].layout.xaxis.type == "log"
