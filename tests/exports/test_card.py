"""The page: what it says where little is known."""

import yaml

from rl_speed.exports.card import Facts, make_page
from rl_speed.exports.scores import Score


def test_a_page_of_which_nothing_is_known_but_the_network(agent):
    text = make_page(Facts(agent, ("onnx",), None, None, None, None, False, None))
    assert yaml.safe_load(text.split("---")[1])["library_name"] == "rl-speed"
    assert "Nothing is known of it." in text
    assert "curve.svg" not in text
    assert "replay.mp4" not in text
    before, _, after = text.partition("```python")
    assert "None" not in before + after.partition("```")[2].partition("<details>")[0]


def test_confirmations_that_failed_are_told(agent):
    result = {"failed_confirmations": [{"mean": 18.5}, {"mean": 19.0}], "env_steps": 10}
    score = Score(30, 20.0, 1.0, 18.0, 21.0, 0.01, "a test")
    for judged in (score, None):
        text = make_page(Facts(agent, ("onnx",), judged, 40, 12.0, result, False, None))
        assert "stayed below the goal of " in text
        assert ", by their mean: 18.50, 19.00." in text
    assert "stayed below" not in make_page(Facts(agent, ("onnx",), score, 40, 12.0, None, False, None))


def test_how_long_a_game_lasts_is_told(agent):
    score = Score(30, 20.0, 1.0, 18.0, 21.0, 0.01, "a test")
    text = make_page(Facts(agent, ("onnx",), score, 40, 12.0, None, False, None))
    assert "to their end, or to 100 frames (a lost life ends none)" in text


def test_the_preprocessing_is_that_of_the_run(agent):
    text = make_page(Facts(agent, ("torchscript",), None, 40, 12.0, None, False, None))
    assert "An action is repeated for 4 frames; what is seen is the pixel maximum of the last two." in text
    assert "reduced to 20 x 20 pixels" in text
    assert "Actions: 0 NOOP, 1 FIRE, 2 RIGHT" in text
    assert "| wall time | 0:12 |" in text
