"""Processes that begin with their imports done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import HANG_SECONDS

# Starts one process without a helper and one with it, which say whether they began with a module.
PROGRAM = """
from rl_speed.system.import_ahead import fresh_context, import_ahead
from tests.system.test_import_ahead import tell

if __name__ == "__main__":
    for round in range(2):
        if round == 1:
            import_ahead("colorsys")
        context = fresh_context()
        here, there = context.Pipe()
        process = context.Process(target=tell, args=(there,))
        process.start()
        print(here.recv())
        process.join()
"""


def tell(connection):
    connection.send("colorsys" in sys.modules)


def run_in(folder, **variables):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder, capture_output=True, text=True, timeout=HANG_SECONDS,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are spawned there")
def test_a_process_begins_with_what_the_helper_has_imported(tmp_path):
    assert run_in(tmp_path) == ["False", "True"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are spawned there")
def test_the_helper_imports_nothing_from_the_working_directory(tmp_path):
    (tmp_path / "colorsys.py").write_text("raise SystemExit('another program')")
    assert run_in(tmp_path) == ["False", "True"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are spawned there")
def test_without_a_place_for_the_helpers_socket_processes_are_spawned(tmp_path):
    folder = tmp_path / ("long" * 30)  # a socket's path has 107 characters at most
    folder.mkdir()
    assert run_in(tmp_path, TMPDIR=str(folder)) == ["False", "False"]
