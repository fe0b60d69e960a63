"""A run as a process of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import rl_speed
from rl_speed.suite.folder import LOG_FILE
from rl_speed.system.child_process import kill_group, kill_tree
from rl_speed.system.cores import LIMIT_VARIABLE, usable_cores
from rl_speed.system.errors import UserError


class LocalRun:
    """A run that is started; it ends by itself where this process is gone.

    Args:
        spec: see `schedule.spec_of`.

    Raises:
        UserError: the system does not let it start.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self._status: int | None = None
        # What runs is this very code, wherever the suite was called from.
        paths = [str(Path(rl_speed.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        environment = {
            "OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        }  # fmt: skip
        if spec["most_cores"] is not None:  # where a run cannot be kept to certain cores, it counts fewer
            environment[LIMIT_VARIABLE] = str(min(spec["most_cores"], usable_cores().count))
        spec = {**spec, "started": time.monotonic()}
        log_file = Path(spec["folder"]) / LOG_FILE
        try:
            with log_file.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "rl_speed.suite.child", json.dumps(spec)],
                    stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment,
                    start_new_session=True,  # Ctrl-C is for the suite, which asks its runs to end
                )  # fmt: skip
        except OSError as error:
            raise UserError(
                f"a run with the log {log_file} cannot be started ({error}); make room, or choose fewer --at-once"
            ) from None

    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it goes on."""
        if self._status is None:
            self._status = self._process.poll()
            if self._status is not None:
                # What it started and left; once, for from now on its number may become a stranger's.
                kill_group(self._process.pid)
        return self._status

    def ask_to_end(self) -> None:
        """Has it save and end."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def kill(self) -> None:
        """Ends it at once, with all that it started."""
        self.ask_to_end()
        if self.status() is None:
            kill_tree(self._process.pid)
            self._status = self._process.wait()
