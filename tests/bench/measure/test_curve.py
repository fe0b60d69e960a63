"""The curve of a run to the goal."""

from rl_speed.bench.measure.curve import thin


def test_thin_keeps_the_ends():
    points = [(float(i), i, 0.0) for i in range(10_000)]
    found = thin(points, 500)
    assert len(found) == 500
    assert (found[0], found[-1]) == (points[0], points[-1])
    assert thin(points[:10], 500) == points[:10]
