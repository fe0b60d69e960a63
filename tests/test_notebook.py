"""The notebook of docs/ runs, and a kernel outlives an interrupted run."""

import os
import time
from pathlib import Path

import pytest

from tests.command_line import HANG_SECONDS
from tests.conftest import TINY

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
start_new_kernel = pytest.importorskip("jupyter_client.manager").start_new_kernel

ROOT = Path(__file__).parent.parent


@pytest.fixture
def path(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return tmp_path


@pytest.mark.slow
def test_the_notebook_runs(path):
    notebook = nbformat.read(ROOT / "docs" / "first_steps.ipynb", as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=HANG_SECONDS, resources={"metadata": {"path": str(path)}})
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
    manager, client = start_new_kernel(cwd=str(path), startup_timeout=HANG_SECONDS)

    def reply_to(message):
        while (reply := client.get_shell_msg(timeout=HANG_SECONDS))["parent_header"].get("msg_id") != message:
            pass
        return reply["content"]

    def value(code):
        content = reply_to(client.execute("", user_expressions={"value": code}))
        return content["user_expressions"]["value"]["data"]["text/plain"]

    try:
        assert reply_to(client.execute(cells[0]))["status"] == "ok"
        # With `stop_on_error` the kernel would drop what is asked for right after the interrupt.
        training = client.execute(cells[1], stop_on_error=False)
        while not any(path.glob("version_0/events*")):
            time.sleep(0.1)
        time.sleep(1.0)
        manager.interrupt_kernel()
        assert reply_to(training)["ename"] == "KeyboardInterrupt"
        assert value(cells[2]) == "3"
        assert value(cells[3]) in ("'max_seconds'", "'max_gradient_steps'")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
