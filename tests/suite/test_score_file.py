"""What stands for a score, and what does not."""

import json

import pytest

from rl_speed.suite.score_file import has_score, read_score
from tests.suite.made_up import plan_for, score


@pytest.fixture
def content():
    plan = plan_for("pong", 1, ("smoke",))
    return score(plan, plan.runs()[0], 1.0)


def write(folder, content):
    (folder / "score.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_a_score_comes_back(tmp_path, content):
    assert not has_score(tmp_path)
    write(tmp_path, content)
    assert read_score(tmp_path) == content
    write(tmp_path, {**content, "format": 1})
    assert has_score(tmp_path)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda content: "{", "delimiter|property name"),
        (lambda content: [], "no object"),
        (lambda content: {**content, "format": 2}, "format 2, not 1"),
        (lambda content: {**content, "machine": None}, r"lacks machine\.processor"),
        (lambda content: {**content, "training": {**content["training"], "seconds": "9"}}, "not all numbers"),
        (lambda content: {name: value for name, value in content.items() if name != "commit"}, "lacks commit"),
        (lambda content: {**content, "config": {"envs": {}}}, r"lacks config\.envs\.sticky_probability"),
    ],
)
def test_what_is_broken_or_of_another_version_is_none(tmp_path, content, change, part):
    write(tmp_path, change(content))
    assert not has_score(tmp_path)
    with pytest.raises(ValueError, match=part):
        read_score(tmp_path)
