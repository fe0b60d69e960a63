"""`rl-speed export` as a user meets it."""

import json
import sys

import pytest


def test_it_says_where_the_export_is(tmp_path, run_folder, here):
    answer = here(
        "export", str(run_folder), "--out", "agent", "--format", "torchscript", "--episodes", "1", cwd=tmp_path
    )
    assert (answer.returncode, answer.stdout) == (0, "exported to agent\n"), answer.stderr
    assert json.loads((tmp_path / "agent/config.json").read_text())["game"] == "pong"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nowhere", "--out", "x"], ["nowhere", "does not exist"]),
        (["RUN", "--out", "full"], ["--out full", "not empty"]),
        (["RUN", "--out", "x", "--format", "keras"], ["--format 'keras'", "onnx"]),
        (["RUN", "--out", "x", "--episodes", "-3"], ["--episodes -3"]),
        (["RUN", "--out", "/proc/none", "--format", "torchscript", "--episodes", "0"], ["--out /proc/none"]),
    ],
)
def test_bad_input_gets_one_sentence_and_status_2(arguments, parts, tmp_path, run_folder, here):
    pytest.importorskip("safetensors")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("")
    answer = here("export", *(str(run_folder) if word == "RUN" else word for word in arguments), cwd=tmp_path)
    assert answer.returncode == 2
    (line,) = answer.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert all(part in line for part in parts), line


@pytest.mark.parametrize(
    ("form", "module"), [("safetensors", "safetensors.torch"), ("onnx", "onnx"), ("torchscript", "huggingface_hub")]
)
def test_a_missing_package_is_one_sentence(form, module, tmp_path, run_folder, here, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    push = ["--push", "me/agent"] if module == "huggingface_hub" else []
    answer = here("export", str(run_folder), "--out", "x", "--format", form, *push, cwd=tmp_path)
    assert answer.returncode == 2
    assert "pip install 'rl-speed[export]'" in answer.stderr
    assert list(tmp_path.iterdir()) == []
