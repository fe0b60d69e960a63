"""Processes that begin with their imports done."""

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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are spawned there")
def test_a_process_begins_with_what_the_helper_has_imported():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=HANG_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["False", "True"], "")
