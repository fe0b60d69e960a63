"""Each format against the network itself, computed by the programs that others use."""

import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_speed.config import EnvsConfig, validate
from rl_speed.exports.agent import TrainedAgent
from rl_speed.exports.formats import check_format, write_network
from rl_speed.learner.network import make_network
from rl_speed.system.errors import UserError
from tests.command_line import ROOT

SHAPE = {"frame_stack": 2, "image_height": 42, "image_width": 30}
NETWORKS = {
    "plain": {},
    "everything": {"dueling": True, "normalise": True, "standardise": True},
    "impala": {"kind": "impala", "channels": (4, 4)},
    "categorical": {"value": "categorical", "atoms": 11, "dueling": True},
    "quantile": {"value": "quantile", "quantiles": 7},
    "noisy": {"noisy": True},
}


def make_agent(**network):
    settings = {"channels": (4, 8), "kernels": (8, 3), "strides": (4, 2), "hidden": 16, **network}
    config = validate({"envs": SHAPE, "network": settings})
    torch.manual_seed(0)
    module = make_network(config.network, config.envs.observation_shape, 6).eval().requires_grad_(False)
    names = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
    return TrainedAgent(
        module, config, "fp32", {"format": 2, "preset": "x", "config": {}, "parts": {"own_env": None}}, names, 6
    )


def observations(count):
    shape = EnvsConfig(**SHAPE).observation_shape
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("name", NETWORKS)
def test_torchscript_gives_the_same_values(name, tmp_path, recwarn):
    agent = make_agent(**NETWORKS[name])
    write_network(agent, "torchscript", tmp_path)
    assert [str(warning.message) for warning in recwarn if "jit" in str(warning.message)] == []
    files = {"rl_speed.json": ""}
    program = torch.jit.load(str(tmp_path / "model.pt"), _extra_files=files)
    for count in (1, 5, 33):
        value = program(observations(count))
        assert value.dtype == torch.float32
        assert torch.allclose(value, agent.network(observations(count)), atol=1e-5)
    assert json.loads(files["rl_speed.json"])["actions"][1] == "FIRE"


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_gives_the_same_values(name, tmp_path, capfd):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    agent = make_agent(**NETWORKS[name])
    write_network(agent, "onnx", tmp_path)
    assert capfd.readouterr() == ("", "")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, given.name, given.type) == (
        "observation", "tensor(uint8)", "q_value", "tensor(float)",
    )  # fmt: skip
    for count in (1, 5, 33):
        (value,) = session.run(["q_value"], {"observation": observations(count).numpy()})
        assert np.allclose(value, agent.network(observations(count)).numpy(), atol=1e-5)
    facts = session.get_modelmeta().custom_metadata_map
    assert (facts["game"], json.loads(facts["actions"])[1]) == ("pong", "FIRE")
    assert json.loads(facts["preprocessing"])["frame_stack"] == 2


@pytest.mark.parametrize("name", NETWORKS)
def test_safetensors_holds_the_weights(name, tmp_path):
    library = pytest.importorskip("safetensors.torch")
    agent = make_agent(**NETWORKS[name])
    write_network(agent, "safetensors", tmp_path)
    other = make_network(agent.config.network, agent.config.envs.observation_shape, 6).eval()
    other.load_state_dict(library.load_file(tmp_path / "model.safetensors"))
    assert torch.equal(other(observations(5)), agent.network(observations(5)))


def whole_of(path):
    """The bytes of a file, and of what is packed in it."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"\n".join(name.encode() + archive.read(name) for name in archive.namelist())


@pytest.mark.parametrize(
    ("form", "package"),
    [
        ("torchscript", "torch"),
        ("safetensors", "safetensors"),
        pytest.param("onnx", "onnxscript", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("kind", [{}, {"value": "quantile", "quantiles": 7, "noisy": True}])
def test_nothing_of_the_users_machine_is_in_the_file(kind, form, package, tmp_path):
    pytest.importorskip(package)
    write_network(make_agent(**kind), form, tmp_path)
    (path,) = tmp_path.iterdir()
    whole = whole_of(path)
    script, library = Path(sys.argv[0]).resolve(), Path(torch.__file__).parent
    for place in (ROOT, Path.home(), script, Path(sys.prefix), library, tmp_path):
        assert str(place).encode() not in whole, place
    assert b"return self." not in whole  # no line of the source


class Crossroads(torch.nn.Module):
    """Goes another way for one observation than for two: a trace knows one of them."""

    def forward(self, observation):
        value = observation.float().flatten(1)[:, :6]
        return value if len(observation) > 1 else -value - 1


def test_what_cannot_be_traced_is_refused(tmp_path):
    agent = replace(make_agent(), network=Crossroads())
    with pytest.raises(UserError, match="--format torchscript: what was written gives other values"):
        write_network(agent, "torchscript", tmp_path)


class Unwritable(torch.nn.Module):
    def forward(self, observation):
        raise ValueError("no way")


def test_what_the_exporter_cannot_do_is_one_sentence(tmp_path):
    agent = replace(make_agent(), network=Unwritable())
    with pytest.raises(UserError, match=r"cannot be written so.*no way") as caught:
        write_network(agent, "torchscript", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_format_that_there_is_not(monkeypatch):
    with pytest.raises(UserError, match="--format 'keras' is none of safetensors, onnx, torchscript"):
        check_format("keras")
