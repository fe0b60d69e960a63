"""Where the curves of a run go: the choice, and the trackers that are packages of their own.

The only file that imports wandb, mlflow and trackio.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import MLFlowLogger, WandbLogger

from rl_speed.config import LoggingConfig
from rl_speed.system.errors import ConfigError
from rl_speed.system.json_file import write_whole
from rl_speed.training.curve_files import CsvTracker
from rl_speed.training.logger import ENV_STEPS, EPISODE, EPISODE_TAGS, RunLogger, TensorBoardTracker, broken

TRACKER_FILE = "tracker.json"  # which run of the tracker a run's folder belongs to
OPEN_SECONDS = 30.0  # the longest that a run waits for a tracker's server
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


def _known_run(folder: Path, kind: str) -> str | None:
    """The tracker's run that this run's folder had before; None if it is new, or had another tracker."""
    try:
        content = json.loads((folder / TRACKER_FILE).read_text(encoding="utf-8"))
        return str(content["run"]) if content["kind"] == kind else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(folder: Path, kind: str, run: str) -> None:
    write_whole(folder / TRACKER_FILE, {"kind": kind, "run": run})


class WandbTracker(RunLogger, WandbLogger):
    """Weights & Biases, by Lightning's logger; WANDB_MODE=offline keeps all in the run's folder.

    Args:
        project: there.
        folder: of the run.
        notify: prints a sentence for the user.
    """

    failures = (Exception,)

    def __init__(self, project: str, folder: Path, notify: Notify) -> None:
        import wandb

        known = _known_run(folder, "wandb")
        # The program's output stays its own, and nobody is asked for a key in the middle of a run.
        settings = wandb.Settings(silent=True, console="off", init_timeout=OPEN_SECONDS)
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
        self.log_hyperparams(dict(settings))

    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        self.experiment.log({**points, axis: x})

    def _end(self, status: str) -> None:
        super()._end(status)
        self.experiment.finish(exit_code=0 if status == "success" else 1)


class MlflowTracker(RunLogger, MLFlowLogger):
    """MLflow, by Lightning's logger: at MLFLOW_TRACKING_URI, or in mlflow.db beside the runs.

    Args:
        project: the experiment's name.
        folder: of the run.
        notify: prints a sentence for the user.
    """

    failures = (Exception,)

    def __init__(self, project: str, folder: Path, notify: Notify) -> None:
        import mlflow  # noqa: F401  # it sets the level of its log when it is imported

        # Of all runs in a folder, as its viewer shows them; its store of plain files is no longer to be used.
        local = f"sqlite:///{(folder.parent / 'mlflow.db').resolve()}"
        known = _known_run(folder, "mlflow")
        with _short_patience():
            for name in ("mlflow", "alembic"):
                logging.getLogger(name).setLevel(logging.WARNING)
            super().__init__(
                experiment_name=project, run_name=folder.name, run_id=known,
                tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or local,
            )  # fmt: skip
            self._notify, self._is_new = notify, known is None
            run = self.run_id  # which makes it, or finds it
            assert run is not None
            self.experiment.update_run(run, status="RUNNING")
        _remember(folder, "mlflow", run)
        notify(f"curves: mlflow ui --backend-store-uri {self._tracking_uri}")

    @property
    def place(self) -> str:
        """The tracker's name."""
        return "mlflow"

    def _note(self, settings: Mapping[str, Any]) -> None:
        if self._is_new:  # a parameter that has a value keeps it there
            self.log_hyperparams({name: value for name, value in _flat(settings) if value not in ("", None)})

    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        with _short_patience():
            self.log_metrics(points, x)

    def _end(self, status: str) -> None:
        with _short_patience():
            super()._end(status)


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

    Args:
        project: there.
        folder: of the run.
        notify: prints a sentence for the user.
    """

    failures = (Exception,)

    def __init__(self, project: str, folder: Path, notify: Notify) -> None:
        import trackio

        super().__init__()
        self._library, self._project, self._folder, self._notify = trackio, project, folder, notify
        # Runs are found again by their names there.
        self._run_name = _known_run(folder, "trackio") or f"{folder.name}-{uuid.uuid4().hex[:8]}"
        self._run: Any = None

    @property
    def experiment(self) -> Any:
        """Trackio's run, which begins with the first call."""
        if self._run is None:
            self._open({})
        return self._run

    def _open(self, settings: Mapping[str, Any]) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self._run = self._library.init(
                project=self._project, name=self._run_name, config=dict(settings), resume="allow", embed=False,
                auto_log_cpu=False, auto_log_gpu=False,
            )  # fmt: skip
        _remember(self._folder, "trackio", self._run_name)
        self._notify(f"curves: trackio show --project {self._project}")

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

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: they were noted when the run began."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """What a callback of the user's logs; its axis is Lightning's step."""
        self._attempt(lambda: self._write(metrics, "global_step", step or 0))

    def _note(self, settings: Mapping[str, Any]) -> None:
        self._open(settings)

    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        self.experiment.log({**points, axis: x})

    def _end(self, status: str) -> None:
        if self._run is not None:
            with contextlib.redirect_stdout(io.StringIO()):
                self._library.finish()
            self._run = None
