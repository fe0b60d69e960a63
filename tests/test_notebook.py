"""The notebook of docs/ runs, and a kernel outlives an interrupted run."""

import os
import time
from pathlib import Path

import pytest

from tests.conftest import TINY

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parent.parent


@pytest.fixture
def path(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return tmp_path


@pytest.mark.slow
def test_the_notebook_runs(path):
    notebook = nbformat.read(ROOT / "docs" / "first_steps.ipynb", as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path)}})
    client.execute()
    results = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in results if output.output_type == "error"]
    assert len([output for output in results if output.output_type == "execute_result"]) >= 5
    # The library says nothing by itself.
    assert not [output.text for output in results if output.output_type == "stream" and output.name == "stdout"]


@pytest.mark.slow
def test_a_kernel_outlives_an_interrupt_and_has_its_threads_back(path):
    overrides = {**TINY, "logging": {"directory": str(path), "progress_bar": False}}
    cells = [
        "import torch, rl_speed; torch.set_num_threads(3)",
        f"open('begun', 'w').close(); rl_speed.train('baseline', {overrides!r})",
        "torch.get_num_threads()",
        f"rl_speed.train(resume='last', overrides={{'logging.directory': {str(path)!r}, "
        "'stop.max_gradient_steps': 10**4}, max_seconds=1).stop_reason",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path)}})
    with client.setup_kernel():
        client.execute_cell(notebook.cells[0], 0)
        message = client.kc.execute(cells[1])
        while not any(path.glob("version_0/events*")):
            time.sleep(0.1)
        time.sleep(1.0)
        client.km.interrupt_kernel()
        reply = client.kc.get_shell_msg(timeout=60)
        while reply["parent_header"].get("msg_id") != message:
            reply = client.kc.get_shell_msg(timeout=60)
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert client.execute_cell(notebook.cells[2], 2).outputs[0].data["text/plain"] == "3"
        resumed = client.execute_cell(notebook.cells[3], 3)
        assert resumed.outputs[-1].data["text/plain"] in ("'max_seconds'", "'max_gradient_steps'")
