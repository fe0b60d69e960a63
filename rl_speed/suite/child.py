"""One run in a process of its own: `python -m rl_speed.suite.child SPEC`; leaves score.json or failure.json.

The run ends and is saved when standard input ends: so the suite asks for it, and so it happens where the suite is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from rl_speed.suite.folder import FAILURE_FILE, SCORE_FILE, locked
from rl_speed.system.child_process import watch_parent
from rl_speed.system.json_file import write_whole

FINISHED, FAILED, INTERRUPTED = 0, 1, 75
# A run that is asked to end saves its replay first; one that has not managed in this time is given up.
PATIENCE_SECONDS = 60.0


def take_cores(cores: list[int] | None) -> None:
    """Keeps this process, and what it starts, to some cores: the plan of a run then shares out these and no others."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _end_with(stop: threading.Event) -> None:
    """Standard input has ended."""
    stop.set()
    time.sleep(PATIENCE_SECONDS)
    os._exit(INTERRUPTED)


def _fail(folder: Path, sentence: str) -> int:
    traceback.print_exc()
    with suppress(OSError):
        write_whole(folder / FAILURE_FILE, {"error": " ".join(sentence.split()) or "no message"})
    return FAILED


def _carry_out(spec: dict[str, Any], stop: threading.Event) -> int:
    """Trains and judges, unless another process has done it meanwhile."""
    from rl_speed.suite.run import train_and_judge  # torch reads the cores when it is imported
    from rl_speed.system.errors import ActorError, RankError, UserError
    from rl_speed.training.signals import stop_on_signals

    folder = Path(spec["folder"])
    try:
        # The process of a suite that was killed may still be saving the same run.
        with locked(folder, PATIENCE_SECONDS + 10), stop_on_signals(stop):
            if (folder / SCORE_FILE).exists() or train_and_judge(spec, stop):
                return FINISHED
            return INTERRUPTED
    except (UserError, ActorError, RankError) as error:
        return INTERRUPTED if stop.is_set() else _fail(folder, str(error).splitlines()[0])
    except Exception as error:
        return _fail(folder, f"{type(error).__name__}: {error}")


def main() -> int:
    """Reads what is to be done, and does it."""
    spec = json.loads(sys.argv[1])
    take_cores(spec["cores"])
    stop = threading.Event()
    watch_parent(lambda: os.read(0, 1), lambda: _end_with(stop))
    return _carry_out(spec, stop)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # native threads may outlive their use
