"""Where the curves of a run go: the choice, and the trackers that are packages of their own.

The only file that imports wandb, mlflow and trackio.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib.util
import io
import json
import logging
import os
import re
import shlex
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import MLFlowLogger, WandbLogger

from rl_speed.config import LoggingConfig
from rl_speed.system.errors import ConfigError
from rl_speed.system.json_file import write_whole
from rl_speed.training.curve_files import CsvTracker
from rl_speed.training.logger import (
    ENV_STEPS,
    EPISODE,
    EPISODE_TAGS,
    RunLogger,
    TensorBoardTracker,
    broken,
    without_userinfo,
)

TRACKER_FILE = "tracker.json"  # which run of the tracker a run's folder belongs to
OPEN_SECONDS = 30.0  # the longest that a run waits for a tracker's server
FINISH_SECONDS = 60.0  # the longest that a run which has ended waits for wandb to send its last points
WRITE_SECONDS = 0.5  # MLflow is asked at most this often: an answer takes milliseconds or a way to its server and back
_MOST_METRICS = 1000  # of one call of MLflow's
NEEDED = {"wandb": ("wandb",), "mlflow": ("mlflow", "sqlalchemy", "alembic"), "trackio": ("trackio",)}

Notify = Callable[[str], None]


def check_tracker(config: LoggingConfig) -> None:
    """Refuses a tracker that is not installed.

    Raises:
        ConfigError: with the command that installs it.
    """
    missing = [name for name in NEEDED.get(config.kind, ()) if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"logging.kind = {config.kind} needs {' and '.join(missing)}; run `pip install 'rl-speed[{config.kind}]'`"
        )


def make_logger(config: LoggingConfig, folder: Path, notify: Notify) -> RunLogger | None:
    """Opens the run's curves, or goes on with them; None, and a sentence for the user, where that fails.

    Args:
        config: what to use.
        folder: of the run.
        notify: prints a sentence for the user.
    """
    if config.kind == "tensorboard":
        return TensorBoardTracker(folder, notify)
    if config.kind == "csv":
        return CsvTracker(folder, notify)
    makers: dict[str, Callable[[str, Path, Notify], RunLogger]] = {
        "wandb": WandbTracker, "mlflow": MlflowTracker, "trackio": TrackioTracker,
    }  # fmt: skip
    try:
        return makers[config.kind](config.project, folder, notify)
    except Exception as error:  # a server that is not there, nobody logged in, a full disk: each has its own types
        notify(broken(config.kind, error))
        return None


def _known(folder: Path, kind: str) -> dict[str, str]:
    """What this run's folder knows of the tracker's `run`; nothing if it is new, or had another tracker."""
    try:
        content = json.loads((folder / TRACKER_FILE).read_text(encoding="utf-8"))
        is_of_it = content["kind"] == kind and isinstance(content["run"], str)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: str(value) for name, value in content.items()} if is_of_it else {}


def _remember(folder: Path, kind: str, run: str, **more: str) -> None:
    write_whole(folder / TRACKER_FILE, {"kind": kind, "run": run, **more})


class WandbTracker(RunLogger, WandbLogger):
    """Weights & Biases, by Lightning's logger; WANDB_MODE=offline keeps all in the run's folder.

    Args:
        project: there.
        folder: of the run.
        notify: prints a sentence for the user.
    """

    failures = (Exception,)
    ends_late = True

    def __init__(self, project: str, folder: Path, notify: Notify) -> None:
        import wandb

        known = _known(folder, "wandb").get("run")
        # The program's output stays its own, nobody is asked for a key in the middle of a run, and nobody waits for
        # ever at its end (0, wandb's own).
        settings = wandb.Settings(
            silent=True, console="off", init_timeout=OPEN_SECONDS, finish_timeout=FINISH_SECONDS,
            finish_timeout_raises=True,
        )  # fmt: skip
        if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False, verify=False):
            raise RuntimeError("nobody is logged in; run `wandb login`, or set WANDB_MODE=offline")
        run = wandb.init(
            project=project, name=folder.name, dir=str(folder), id=known or uuid.uuid4().hex[:8], resume="allow",
            reinit="create_new", settings=settings,
        )  # fmt: skip
        super().__init__(project=project, save_dir=str(folder), experiment=run)
        self._notify = notify
        for axis in (EPISODE, ENV_STEPS):
            run.define_metric(axis, hidden=True)
        run.define_metric("*", step_metric=ENV_STEPS)
        for tag in EPISODE_TAGS:
            run.define_metric(tag, step_metric=EPISODE)
        _remember(folder, "wandb", run.id)
        if not run.offline:
            notify(f"curves: {run.url}")

    @property
    def place(self) -> str:
        """The tracker's name."""
        return "wandb"

    def _note(self, settings: Mapping[str, Any]) -> None:
        self._log_settings(dict(settings))

    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        self.experiment.log({**points, axis: x})

    def _end(self, status: str) -> None:
        super()._end(status)
        self.experiment.finish(exit_code=0 if status == "success" else 1)


class MlflowTracker(RunLogger, MLFlowLogger):
    """MLflow, by Lightning's logger: at MLFLOW_TRACKING_URI, or in mlflow.db beside the runs.

    Points wait for each other, so that the learner does not wait for MLflow at every game that ends.

    Args:
        project: the experiment's name.
        folder: of the run.
        notify: prints a sentence for the user.
    """

    failures = (Exception,)
    ends_late = True

    def __init__(self, project: str, folder: Path, notify: Notify) -> None:
        import mlflow  # noqa: F401  # it sets the level of its log when it is imported

        self._notify, self._waiting, self._next_write = notify, list[Any](), 0.0
        # Of all runs in a folder, as its viewer shows them; its store of plain files is no longer to be used.
        local = f"sqlite:///{(folder.parent / 'mlflow.db').resolve()}"
        address = os.environ.get("MLFLOW_TRACKING_URI") or local
        known = _known(folder, "mlflow")
        with _short_patience():
            for name in ("mlflow", "alembic"):
                logging.getLogger(name).setLevel(logging.WARNING)
            earlier = known.get("run") if _is_there(known.get("run"), address) else None
            super().__init__(
                experiment_name=project, run_name=folder.name, run_id=earlier, tracking_uri=address,
            )  # fmt: skip
            self._is_new = earlier is None
            run = self.run_id  # which makes it, or finds it
            assert run is not None
            self.experiment.update_run(run, status="RUNNING")
        place = _public_address(address)
        _remember(folder, "mlflow", run, place=place)
        if known and self._is_new:
            was = known.get("place", place)
            where = "have gone from there" if was == place else f"are at {was}"
            notify(f"curves: {place} does not hold this run's earlier ones, which {where}; a new run begins there")
        notify(
            f"curves: mlflow ui --backend-store-uri {shlex.quote(local)}" if address == local else f"curves: {place}"
        )

    @property
    def place(self) -> str:
        """The tracker's name."""
        return "mlflow"

    def _patience(self) -> AbstractContextManager[None]:
        return _short_patience()

    def _note(self, settings: Mapping[str, Any]) -> None:
        if self._is_new:  # a parameter that has a value keeps it there
            self._log_settings({name: value for name, value in _flat(settings) if value not in ("", None)})

    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        from mlflow.entities import Metric

        stamp = int(time.time() * 1000)
        self._waiting += [Metric(key=tag, value=value, timestamp=stamp, step=x) for tag, value in points.items()]
        if time.monotonic() >= self._next_write:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), _MOST_METRICS):
            self.experiment.log_batch(run_id=self.run_id, metrics=waiting[first : first + _MOST_METRICS])
        self._next_write = time.monotonic() + WRITE_SECONDS

    def _end(self, status: str) -> None:
        self._flush()
        super()._end(status)


def _is_there(run: str | None, address: str) -> bool:
    """Whether MLflow's store at an address has a run, and not in its bin."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    if run is None:
        return False
    try:
        return bool(MlflowClient(address).get_run(run).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False


def _public_address(address: str) -> str:
    """An address without names and keys of its user's."""
    return re.sub(r"[?#].*", "", without_userinfo(address))


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Fields with the names that --set takes, in which nothing is left out of what is in a list."""
    for section, value in settings.items():
        if isinstance(value, Mapping):
            yield from ((f"{section}.{name}", part) for name, part in value.items())
        else:
            yield section, value


@contextlib.contextmanager
def _short_patience() -> Iterator[None]:
    """MLflow asks a server that does not answer for minutes, unless its own variables say otherwise."""
    wanted = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(int(OPEN_SECONDS / 3))}
    added = [name for name in wanted if name not in os.environ]
    os.environ.update({name: wanted[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


class TrackioTracker(RunLogger):
    """Trackio, which has no logger for Lightning: in its folder on this machine, or where TRACKIO_SPACE_ID says.

    Its run begins with `note`, since it takes the configuration only then.

    Args:
        project: there.
        folder: of the run.
        notify: prints a sentence for the user.
    """

    failures = (Exception,)
    ends_late = True

    def __init__(self, project: str, folder: Path, notify: Notify) -> None:
        import trackio

        super().__init__()
        self._library, self._project, self._folder, self._notify = trackio, project, folder, notify
        # Runs are found again by their names there.
        self._run_name = _known(folder, "trackio").get("run") or f"{folder.name}-{uuid.uuid4().hex[:8]}"
        self._run: Any = None

    @property
    def experiment(self) -> Any:
        """Trackio's run; None before it begins. Lightning asks for it, where nothing would catch what goes wrong."""
        return self._run

    @property
    def name(self) -> str:
        """The project."""
        return self._project

    @property
    def version(self) -> str:
        """The run's name there."""
        return self._run_name

    @property
    def place(self) -> str:
        """The tracker's name."""
        return "trackio"

    def _log(self, metrics: Mapping[str, float], step: int | None) -> None:
        self._write(metrics, "global_step", step or 0)

    def _log_settings(self, *_: Any, **__: Any) -> None:
        """Nothing: they were noted when the run began."""

    def _note(self, settings: Mapping[str, Any]) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            # In a context of its own: a run that the caller has begun there stays the caller's current one.
            self._run = contextvars.Context().run(
                self._library.init, project=self._project, name=self._run_name, config=dict(settings), resume="allow",
                embed=False, auto_log_cpu=False, auto_log_gpu=False,
            )  # fmt: skip
        _remember(self._folder, "trackio", self._run_name)
        self._notify(f"curves: trackio show --project {shlex.quote(self._project)}")

    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        if self._run is not None:
            self._run.log({**points, axis: x})

    def _end(self, status: str) -> None:
        run, self._run = self._run, None
        if run is not None:
            with contextlib.redirect_stdout(io.StringIO()):
                run.finish()
