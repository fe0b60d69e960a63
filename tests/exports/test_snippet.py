"""The example of the page: each is run as it stands, and all choose alike."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest

import rl_speed
from rl_speed.exports.snippet import example
from tests.command_line import HANG_SECONDS, ROOT

PACKAGES = {"safetensors": ["safetensors"], "onnx": ["onnx", "onnxscript", "onnxruntime"], "torchscript": []}


def run_example(folder):
    (program,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.S)
    (folder.parent / f"play_{folder.name}.py").write_text(program)
    done = subprocess.run(
        [sys.executable, f"../play_{folder.name}.py"], cwd=folder, capture_output=True, text=True, timeout=HANG_SECONDS,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_the_examples_play_the_same_game(run_folder, tmp_path):
    said = {}
    for form, packages in PACKAGES.items():
        try:
            for package in packages:
                __import__(package)
        except ImportError:
            continue
        rl_speed.export(run_folder, tmp_path / form, form, episodes=0)
        said[form] = run_example(tmp_path / form)
    assert re.fullmatch(r"return -?\d+", said["torchscript"])
    assert len(set(said.values())) == 1, said


def test_an_example_says_that_a_network_of_the_callers_own_is_his_to_give(agent):
    facts = {**agent.facts, "parts": {"own_env": None, "own_network": "mine.make"}}
    text = example(replace(agent, facts=facts), "safetensors")
    compile(text, "safetensors", "exec")
    assert "rl_speed.load(folder, network=make_network)" in text
    assert "make_network" not in example(agent, "safetensors")


@pytest.mark.parametrize("form", ["safetensors", "onnx", "torchscript"])
def test_an_example_is_a_program(form, agent):
    text = example(agent, form)
    compile(text, form, "exec")
    assert 'game="pong"' in text
    assert "max_num_frames_per_episode=100," in text  # or an agent that does nothing plays for ever
    assert "np.maximum" in text  # the runs of `smoke` see the maximum of two frames
