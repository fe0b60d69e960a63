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

from rl_speed.suite.folder import FAILURE_FILE, locked
from rl_speed.suite.score_file import has_score
from rl_speed.system.child_process import watch_parent
from rl_speed.system.errors import ActorError, RankError, UserError
from rl_speed.system.json_file import write_whole
from rl_speed.system.output import make_streams_patient

# Exit statuses of a run; with LOST none came back, for its node in a cluster is gone.
FINISHED, FAILED, INTERRUPTED, LOST = 0, 1, 75, 74
# A run that is asked to end saves its replay first; one that has not managed in this time is given up. Large replays
# get more of it, see `placement.patience_seconds`.
LEAST_PATIENCE_SECONDS = 60.0


def take_cores(cores: list[int] | None) -> None:
    """Keeps this process, and what it starts, to some cores: the plan of a run then shares out these and no others."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _end_with(stop: threading.Event, patience_seconds: float) -> None:
    """Standard input has ended."""
    stop.set()
    time.sleep(patience_seconds)
    os._exit(INTERRUPTED)


def _fail(folder: Path, sentence: str) -> int:
    """Leaves the sentence before anything is printed: the log may be what cannot be written."""
    with suppress(OSError):
        write_whole(folder / FAILURE_FILE, {"error": " ".join(sentence.split()) or "no message"})
    traceback.print_exc()
    return FAILED


def _sentence(error: BaseException) -> str:
    """The first line of what an error says, or its name."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _carry_out(spec: dict[str, Any], stop: threading.Event) -> int:
    """Trains and judges, unless another process has done it meanwhile."""
    folder = Path(spec["folder"])
    try:
        take_cores(spec["cores"])
        from rl_speed.suite.run import train_and_judge  # torch reads the cores when it is imported
        from rl_speed.training.signals import stop_on_signals

        waits = time.monotonic()
        # The process of a suite that was killed may still be saving the same run.
        with locked(folder, spec["patience_seconds"] + 10), stop_on_signals(stop):
            started = spec["started"] + time.monotonic() - waits
            if has_score(folder) or train_and_judge({**spec, "started": started}, stop):
                return FINISHED
            return INTERRUPTED
    except (UserError, ActorError, RankError) as error:
        return INTERRUPTED if stop.is_set() else _fail(folder, _sentence(error))
    except Exception as error:
        return _fail(folder, f"{type(error).__name__}: {error}")


def main() -> int:
    """Reads what is to be done, and does it."""
    make_streams_patient()  # a full disk costs the log, not the run
    spec = json.loads(sys.argv[1])
    stop = threading.Event()
    watch_parent(lambda: os.read(0, 1), lambda: _end_with(stop, spec["patience_seconds"]))
    return _carry_out(spec, stop)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # native threads may outlive their use
