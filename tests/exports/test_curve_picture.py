"""The picture of a curve."""

import xml.etree.ElementTree as ElementTree

import pytest

from rl_speed.exports.curve_picture import HEIGHT, LEFT, RIGHT, WIDTH, draw_curve, ticks

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-21, 19.5, [-20, -10, 0, 10]),
        (0, 226.3, [0, 50, 100, 150, 200]),
        (0, 0.03, [0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_the_line_goes_from_corner_to_corner():
    picture = ElementTree.fromstring(draw_curve([(0.0, 0, -20.0), (50.0, 5, 0.0), (100.0, 10, 20.0)], None))
    (line,) = picture.iter(f"{SVG}polyline")
    (x0, y0), (x1, y1), (x2, y2) = (map(float, pair.split(",")) for pair in line.get("points").split())
    assert (x0, x2) == (LEFT, WIDTH - RIGHT)
    assert y0 > y1 > y2
    assert (x1, y1) == pytest.approx(((x0 + x2) / 2, (y0 + y2) / 2), abs=0.2)
    labels = [text.text for text in picture.iter(f"{SVG}text")]
    assert {"-20", "0", "20", "100", "seconds of training"} <= set(labels)


@pytest.mark.parametrize("goal", [None, 19.5, -30.0])
def test_all_of_it_is_inside_the_picture(goal):
    picture = ElementTree.fromstring(draw_curve([(1.0, 0, -21.0), (2.0, 5, -21.0), (2.0, 10, -20.9)], goal))
    for line in picture.iter(f"{SVG}line"):
        assert 0 <= float(line.get("y1")) <= HEIGHT
        assert 0 <= float(line.get("x1")) <= WIDTH
    assert len([line for line in picture.iter(f"{SVG}line") if line.get("stroke") == "#000000"]) == (goal is not None)


def test_a_flat_curve_of_no_time_can_be_drawn():
    ElementTree.fromstring(draw_curve([(0.0, 0, 1.0), (0.0, 1, 1.0)], None))
