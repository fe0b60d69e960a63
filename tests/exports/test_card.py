"""The page: what it says where little is known."""

import yaml

from rl_speed.exports.card import Facts, make_page


def test_a_page_of_which_nothing_is_known_but_the_network(agent):
    text = make_page(Facts(agent, ("onnx",), None, None, None, None, False, None))
    assert yaml.safe_load(text.split("---")[1])["library_name"] == "rl-speed"
    assert "Nothing is known of it." in text
    assert "curve.svg" not in text
    assert "replay.mp4" not in text
    before, _, after = text.partition("```python")
    assert "None" not in before + after.partition("```")[2].partition("<details>")[0]


def test_the_preprocessing_is_that_of_the_run(agent):
    text = make_page(Facts(agent, ("torchscript",), None, 40, 12.0, None, False, None))
    assert "An action is repeated for 4 frames; what is seen is the pixel maximum of the last two." in text
    assert "reduced to 20 x 20 pixels" in text
    assert "Actions: 0 NOOP, 1 FIRE, 2 RIGHT" in text
    assert "| wall time | 0:12 |" in text
