"""An export in the place of a checkpoint."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch

import rl_speed
from rl_speed.system.errors import UserError
from rl_speed.training.checkpoint.folders import resolve
from rl_speed.training.checkpoint.reading import load_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory, finished_run):
    pytest.importorskip("safetensors")
    path = tmp_path_factory.mktemp("exports") / "agent"
    rl_speed.export(finished_run / "lightning_logs/version_0", path, episodes=0)
    return path


def test_it_is_loaded_as_a_checkpoint_is(folder, finished_run):
    run = finished_run / "lightning_logs/version_0"
    (network, config), (before, _) = load_network(resolve(folder)), load_network(resolve(run))
    observation = torch.randint(0, 256, (5, *config.envs.observation_shape), dtype=torch.uint8)
    assert torch.allclose(network(observation), before(observation), atol=1e-5)
    agent, older = rl_speed.load(folder), rl_speed.load(run)
    for seed in range(5):
        screen = np.random.default_rng(seed).integers(0, 256, (210, 160, 3), dtype=np.uint8)
        assert agent(screen) == older(screen)
    assert agent.action_names == older.action_names


def test_the_same_games_are_played(folder, finished_run):
    run = finished_run / "lightning_logs/version_0"
    one, other = (rl_speed.evaluate(path, episodes=2, epsilon=0.5, seed=3) for path in (folder, run))
    assert (one.returns, one.lengths_env_steps) == (other.returns, other.lengths_env_steps)


def test_it_can_be_exported_again(folder, tmp_path):
    rl_speed.export(folder, tmp_path / "again", episodes=0)
    first, second = ((path / "model.safetensors").read_bytes() for path in (folder, tmp_path / "again"))
    assert first == second


def test_no_run_goes_on_from_it(folder):
    with pytest.raises(UserError, match="is an export, which holds no optimizer"):
        rl_speed.train(resume=folder)


def test_a_truncated_file_is_one_sentence(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(UserError, match="it is truncated or foreign") as caught:
        rl_speed.load(copy)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_one_sentence(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    content = json.loads((copy / "config.json").read_text())
    content["rl_speed"]["config"]["network"]["hidden"] = 9
    (copy / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="holds no network that fits its configuration"):
        rl_speed.load(copy)


def test_an_export_in_another_format_cannot_be_loaded(folder, tmp_path):
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(UserError, match=r"holds no model.safetensors.*--format safetensors"):
        rl_speed.load(tmp_path)


def test_a_config_of_something_else_is_no_export(tmp_path):
    (tmp_path / "config.json").write_text('{"library_name": "transformers"}')
    with pytest.raises(UserError, match="is not a checkpoint of rl_speed"):
        rl_speed.load(tmp_path)


def test_a_missing_package_is_one_sentence(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(UserError, match=r"pip install 'rl-speed\[export\]'"):
        rl_speed.load(folder)
