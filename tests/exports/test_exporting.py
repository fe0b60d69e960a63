"""The whole export, and what it leaves behind where it fails."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
import yaml

import rl_speed
from rl_speed.exports import exporting
from rl_speed.system.errors import UserError
from tests.corridor import Corridor

FULL = OSError(28, "No space left on device")


def front_matter(folder):
    return yaml.safe_load((folder / "README.md").read_text().split("---")[1])


def test_a_page_and_a_picture_lie_beside_the_network(run_folder, tmp_path, capfd):
    out = tmp_path / "out"
    rl_speed.export(run_folder, out, "torchscript")
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "config.json", "curve.svg", "model.pt"]
    ElementTree.parse(out / "curve.svg")
    games = json.loads((run_folder / "result.json").read_text())["confirmation"]
    facts = front_matter(out)
    assert facts["tags"][:2] == ["pong", "reinforcement-learning"]
    (metric,) = facts["model-index"][0]["results"][0]["metrics"]
    assert metric["value"] == f"{games['mean']:.2f} +/- {games['std']:.2f}"
    text = (out / "README.md").read_text()
    assert "![mean return of the last games against seconds](curve.svg)" in text
    assert "the run itself computed in bfloat16" in text
    assert "| gradient steps | 40 |" in text


def test_games_are_played_where_they_are_asked_for(run_folder, tmp_path):
    rl_speed.export(run_folder, tmp_path / "out", "torchscript", episodes=3)
    text = (tmp_path / "out/README.md").read_text()
    assert "| 3 |" in text
    assert "played for this export, with seed 1, computed in fp32" in text


def test_without_games_no_score_is_claimed(run_folder, tmp_path):
    rl_speed.export(run_folder, tmp_path / "out", "torchscript", episodes=0)
    assert "model-index" not in front_matter(tmp_path / "out")
    assert "No games were played to judge it." in (tmp_path / "out/README.md").read_text()


def test_a_video_of_one_game(run_folder, tmp_path):
    import imageio.v2 as imageio

    rl_speed.export(run_folder, tmp_path / "out", "torchscript", episodes=0, video=True)
    with imageio.get_reader(tmp_path / "out/replay.mp4") as reader:
        assert reader.get_meta_data()["duration"] > 2
    assert "`replay.mp4` is one game" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize(
    ("stage", "error", "raised", "part"),
    [
        ("write_network", FULL, UserError, "--out .* cannot be written .*No space left"),
        ("make_page", FULL, UserError, "--out .* cannot be written .*No space left"),
        ("play_games", OSError(12, "no memory"), OSError, "no memory"),  # which is no matter of the folder
        ("record_video", UserError("no film"), UserError, "no film"),
        ("write_network", KeyboardInterrupt(), KeyboardInterrupt, None),
        ("play_games", KeyboardInterrupt(), KeyboardInterrupt, None),
        ("make_page", KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_what_fails_or_is_interrupted_leaves_nothing(stage, error, raised, part, run_folder, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(exporting, stage, fail)
    with pytest.raises(raised, match=part):
        rl_speed.export(run_folder, tmp_path / "above/out", "torchscript", episodes=1, video=True)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_found_before_games_are_played(run_folder, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise UserError("--format torchscript: no way")

    played = []
    monkeypatch.setattr(exporting, "write_network", refuse)
    monkeypatch.setattr(exporting, "play_games", lambda *_, **__: played.append(1))
    with pytest.raises(UserError, match="no way"):
        rl_speed.export(run_folder, tmp_path / "out", "torchscript", episodes=1)
    assert played == []


def test_an_export_does_not_take_the_place_of_the_weights_that_it_is_made_from(run_folder, tmp_path):
    pytest.importorskip("safetensors")
    out = tmp_path / "out"
    rl_speed.export(run_folder, out, episodes=0)
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"--out .* holds the weights that are exported.*--format safetensors"):
        rl_speed.export(out, tmp_path / "." / "out", "torchscript", episodes=0)
    assert (out / "model.safetensors").read_bytes() == before
    rl_speed.export(out, out, ["safetensors", "torchscript"], episodes=0)
    assert (out / "model.safetensors").read_bytes() == before
    assert (out / "model.pt").is_file()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"formats": "keras"}, "--format 'keras'"),
        ({"formats": ()}, "--format is empty"),
        ({"formats": "torchscript", "episodes": -1}, "--episodes -1"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_done(arguments, part, run_folder, tmp_path):
    with pytest.raises(UserError, match=part):
        rl_speed.export(run_folder, tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_an_env_of_the_callers_own(tmp_path):
    changes = {
        "envs": {"image_height": 20, "image_width": 20, "frame_stack": 2},
        "network": {"channels": [4], "kernels": [4], "strides": [4], "hidden": 8},
        "replay": {"capacity_env_steps": 400, "prefill_env_steps": 40},
        "update": {"batch_size": 8},
        "stop": {"max_gradient_steps": 10, "confirm_episodes": 0},
        "logging": {"directory": str(tmp_path), "progress_bar": False},
    }
    result = rl_speed.train("baseline", changes, env=Corridor)
    with pytest.raises(UserError, match="with an env of the caller's own; call rl_speed from Python with env="):
        rl_speed.export(result.checkpoint, tmp_path / "out", "torchscript")
    rl_speed.export(result.checkpoint, tmp_path / "out", "torchscript", episodes=2, env=Corridor)
    text = (tmp_path / "out/README.md").read_text()
    assert "| 2 |" in text
    assert "ale-py, " not in text.partition("## Files")[0]
    assert "# DQN that plays Corridor" in text
    assert front_matter(tmp_path / "out")["tags"][0] == "Corridor"
    assert front_matter(tmp_path / "out")["model-index"][0]["results"][0]["dataset"]["name"] == "Corridor"
    assert json.loads((tmp_path / "out/config.json").read_text())["game"] == "Corridor"
    network = torch.jit.load(str(tmp_path / "out/model.pt"))
    assert network(torch.from_numpy(np.zeros((1, 2, 20, 20), dtype=np.uint8))).shape == (1, 2)
