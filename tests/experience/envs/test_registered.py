"""Envs of Gymnasium's registry by their id, and a sentence for each that cannot be played."""

import numpy as np
import pytest
import torch
from gymnasium.error import DependencyNotInstalled

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs import make_env, make_filmed_env
from rl_speed.system.errors import ConfigError, UserError
from tests import registered_envs

MODULE = "tests.registered_envs"
SMALL = {"image_height": 20, "image_width": 20}


def configured(name, **fields):
    return EnvsConfig.model_validate({"id": f"{MODULE}:{name}-v0", **SMALL, **fields})


def made(name, count=2, **fields):
    return make_env(configured(name, **fields), count, 0, 1)


@pytest.mark.parametrize(("name", "fields"), [("Grey", {}), ("Colour", {}), ("Numbers", {"render_observation": True})])
def test_an_env_by_its_id_takes_steps(name, fields):
    games = made(name, **fields)
    first = games.reset()
    assert (games.num_envs, games.num_actions, first.shape) == (2, 2, (2, 20, 20))
    games.send(torch.tensor([1, 0]))
    step = games.recv()
    assert not torch.equal(step.frame[0], step.frame[1])
    assert torch.equal(first[0], first[1])
    for _ in range(3):
        games.send(torch.tensor([1, 0]))
        step = games.recv()
    assert step.reward.tolist() == [1, 0]
    assert step.terminated.tolist() == [True, False]
    assert torch.equal(step.frame[0], first[0])  # of the next game
    games.close()


def test_options_are_the_envs_and_gymnasiums():
    games = made("Grey", 1, options={"length": 3, "max_episode_steps": 2})
    games.reset()
    games.send(torch.tensor([1]))
    assert games.recv().terminated.tolist() == [True]
    for _ in range(2):
        games.send(torch.tensor([0]))
        step = games.recv()
    assert (step.terminated.tolist(), step.truncated.tolist()) == ([False], [True])
    games.close()


@pytest.mark.parametrize(
    ("name", "fields", "part"),
    [
        ("Gray", {}, r"tests\.registered_envs:Gray-v0 is not registered with Gymnasium; did you mean .*Grey-v0"),
        ("Grey", {"options": {"sise": 3}}, r"options = \{'sise': 3\} \(TypeError: .*'sise'\); set envs\.options to"),
        ("Refusing", {}, r"no envs\.options \(ValueError: a name that nobody knows\)"),
        ("Lacking", {}, "needs a package that is not installed: boxes are not installed, run `pip install boxes`"),
        ("Missing", {}, r"cannot be imported \(No module named 'boxes'\); install its package"),
        ("Steered", {}, r"must be Discrete with two actions or more; set envs\.options\.continuous to false"),
        ("Numbers", {}, r"must be a Box of uint8 .*; set envs\.render_observation to true"),
        ("Unreadable", {}, r"its code cannot be read \(SyntaxError: invalid syntax \(boxes.py, line 3\)\)"),
        (
            "Unseen",
            {"render_observation": True, "options": {"picture": "fails"}},
            r"cannot be rendered \(RuntimeError: no screen\); set envs\.render_observation to false",
        ),
        ("Unseen", {"render_observation": True}, r"cannot be rendered .*; set envs\.render_observation to false"),
        ("Blind", {"render_observation": True}, "envs.render_observation = true, but .* no render mode rgb_array"),
    ],
)
def test_what_cannot_be_played_is_a_sentence(name, fields, part):
    with pytest.raises(ConfigError, match=part) as caught:
        made(name, **fields)
    sentence = str(caught.value)
    assert f"envs.id = {MODULE}:" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"id": "no_such_module:X-v0"}, "No module named 'no_such_module'.*PYTHONPATH"),
        ({"id": "CartPole-v77"}, "did you mean CartPole-v1"),
        ({"id": "AirRaids-v4"}, "name that module first: my_package"),
        ({"id": "Qqqqq-v0"}, "name that module first: my_package:MyEnv-v0"),
        ({"id": "a b c"}, "envs.id = a b c"),
        ({"id": f"{MODULE}:Renewed-v1"}, r"is not to be had \(.*Renewed-v2.*\); set it to the one"),
        ({"backend": "gymnasium"}, "plays envs.id, which is not set"),
    ],
)
def test_names_of_nothing_are_a_sentence(fields, part):
    with pytest.raises(ConfigError, match=part):
        make_env(EnvsConfig.model_validate(fields), 1, 0, 1)


@pytest.mark.parametrize(("text", "part"), [("def:", "SyntaxError"), ("1 / 0", "ZeroDivisionError: division by zero")])
def test_a_mistake_in_the_module_is_no_matter_of_options(text, part, tmp_path, monkeypatch):
    (tmp_path / "module_with_a_mistake.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ConfigError, match=f"importing module_with_a_mistake failed .{part}.*correct that module"
    ) as said:
        make_env(EnvsConfig.model_validate({"id": "module_with_a_mistake:X-v0"}), 1, 0, 1)
    assert "options" not in str(said.value)


def test_no_env_is_made_only_to_be_asked_what_it_renders():
    games = made("Counted", 3, render_observation=True)
    assert registered_envs.MADE == ["rgb_array"] * 3
    games.close()


@pytest.mark.parametrize(
    ("picture", "part"),
    [
        (None, "gave NoneType and not uint8"),
        ([1, 2], "gave list and not"),
        (np.zeros((4, 4, 3), np.float32), r"gave float32 \[4, 4, 3\] and not"),
        (np.zeros((4, 4, 4), np.uint8), r"gave uint8 \[4, 4, 4\] and not"),
        (RuntimeError("no screen"), r"its render failed \(RuntimeError: no screen\)"),
        (DependencyNotInstalled("boxes"), "needs a package that is not installed: boxes"),
    ],
)
def test_what_cannot_be_filmed_is_a_sentence(picture, part, monkeypatch):
    def render(env):
        if isinstance(picture, Exception):
            raise picture
        return picture

    monkeypatch.setattr(registered_envs.Walk, "render", render)
    env = make_filmed_env(configured("Grey"))
    env.start(1)
    with pytest.raises(UserError, match=f"envs.id = {MODULE}:Grey-v0.*{part}"):
        env.play(1, [])
    env.close()


def test_an_option_makes_it_discrete():
    made("Steered", options={"continuous": False}).close()


def test_observations_that_are_not_what_the_space_says():
    games = made("Lying", 1)
    with pytest.raises(UserError, match=r"Lying-v0: it observed something else than its space says: .*float32"):
        games.reset()
    games.close()


@pytest.mark.parametrize(
    ("name", "fields", "shape", "frames_per_second"),
    [
        ("Grey", {}, (36, 50, 3), 20),
        ("Numbers", {"render_observation": True}, (36, 50, 3), 20),
        ("Silent", {}, (30, 40, 3), 30),  # it renders nothing: what it observes
    ],
)
def test_a_film_shows_what_the_env_renders_or_observes(name, fields, shape, frames_per_second):
    env = make_filmed_env(configured(name, **fields))
    screens = []
    env.start(1)
    env.play(1, screens)
    env.play(1)
    assert [screen.shape for screen in screens] == [shape]
    assert screens[0].dtype == np.uint8
    assert env.frames_per_second == frames_per_second
    env.close()
