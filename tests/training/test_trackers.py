"""Each tracker as the real package keeps it, offline, read back."""

import json
import sqlite3
import struct
import sys
import time
from types import SimpleNamespace

import pytest

from rl_speed.config import LoggingConfig
from rl_speed.system.errors import UserError
from rl_speed.training import trackers
from rl_speed.training.logger import RunLogger, TensorBoardTracker
from rl_speed.training.trackers import check_tracker, make_logger

SETTINGS = {"seed": 3, "envs": {"game": "pong", "count": 2}, "stop": {"max_seconds": None}}


def draw(kind, folder, episodes, said, settings=SETTINGS):
    """A part of a run with a game every 100 env steps."""
    folder.mkdir(parents=True, exist_ok=True)
    logger = make_logger(LoggingConfig(kind=kind), folder, said.append)
    assert isinstance(logger, RunLogger), said
    logger.note(settings)
    for episode in episodes:
        logger.write({"reward": float(episode), "avg_reward": 0.5, "steps": 25.0}, episode)
        logger.write({"loss": 1.0 / episode, "time_share/act": 0.25}, 100 * episode)
    logger.save()
    logger.finalize("success")
    logger.end()
    return logger


def test_tensorboard_is_what_there_is_without_a_choice(tmp_path):
    assert isinstance(make_logger(LoggingConfig(), tmp_path / "version_0", print), TensorBoardTracker)


@pytest.mark.parametrize("kind", ["wandb", "mlflow", "trackio"])
def test_a_missing_package_is_one_sentence(kind, monkeypatch):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"logging.kind = {kind} needs .*pip install 'rl-speed\[{kind}\]'"):
        check_tracker(LoggingConfig(kind=kind))


@pytest.mark.parametrize("kind", ["tensorboard", "csv"])
def test_what_is_always_there_needs_nothing(kind, monkeypatch):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    check_tracker(LoggingConfig(kind=kind))


@pytest.mark.parametrize("kind", ["wandb", "mlflow", "trackio"])
def test_a_tracker_that_cannot_be_opened_costs_the_curves_and_not_the_run(kind, tmp_path, monkeypatch):
    class Broken:
        def __getattr__(self, name):
            raise ConnectionError("no route to host")

    def refuse(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setitem(sys.modules, kind, Broken())
    monkeypatch.setattr(trackers.MLFlowLogger, "__init__", refuse)
    said = []
    logger = make_logger(LoggingConfig(kind=kind), tmp_path, said.append)
    if logger is not None:  # Trackio begins with the first word to it
        logger.note(SETTINGS)
        assert getattr(logger, "experiment", None) is None  # as Lightning asks, before it trains
        logger.write({"loss": 1.0}, 1)
        logger.log_metrics({"mine": 1.0}, 1)
        logger.finalize("success")
        logger.end()
    assert said == [f"the curves in {kind} cannot be written any more (no route to host); the run goes on"]


class Dead:
    """Whatever is asked of it, its server does not answer."""

    url, offline, id = "https://example.org/run", False, "abc"

    def __getattr__(self, name):
        def ask(*_, **__):
            raise ConnectionError("no answer from https://me:key@example.org/x")

        return ask


def opened(kind, said):
    """A tracker whose server was there when it began, and is there no more."""
    maker = {"wandb": trackers.WandbTracker, "mlflow": trackers.MlflowTracker, "trackio": trackers.TrackioTracker}[kind]
    tracker = maker.__new__(maker)
    given = {
        "wandb": {"_experiment": Dead(), "_wandb_init": {}, "_prefix": "", "_checkpoint_callbacks": {}},
        "mlflow": {
            "_initialized": True, "_mlflow_client": Dead(), "_run_id": "abc", "_waiting": [], "_next_write": 0.0,
            "_prefix": "", "_log_batch_kwargs": {}, "_checkpoint_callback": None, "_is_new": True,
        },
        "trackio": {"_run": Dead()},
    }[kind]  # fmt: skip
    for name, value in {"_notify": said.append, **given}.items():
        setattr(tracker, name, value)
    return tracker


def END(tracker):  # noqa: N802
    tracker.end()


@pytest.mark.parametrize("kind", ["wandb", "mlflow", "trackio"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda tracker: tracker.write({"loss": 1.0}, 1),
        lambda tracker: tracker.log_metrics({"mine": 1.0}, 1),
        END,
    ],
    ids=["write", "log_metrics", "end"],
)
def test_a_server_that_has_gone_costs_the_curves_and_not_the_run(ask, kind):
    pytest.importorskip(kind)
    said = []
    tracker = opened(kind, said)
    ask(tracker)
    tracker.write({"loss": 1.0}, 2)
    tracker.finalize("success")
    tracker.end()
    (sentence,) = said
    assert "no answer from https://example.org/x" in sentence
    assert ("may lack their last points" if ask is END else "cannot be written any more") in sentence
    assert "key" not in sentence


@pytest.mark.parametrize("kind", ["wandb", "mlflow", "trackio"])
def test_what_may_wait_for_a_server_ends_last_and_once(kind, monkeypatch):
    pytest.importorskip(kind)
    ended = []
    tracker = opened(kind, [])
    monkeypatch.setattr(tracker, "_end", ended.append)
    tracker.finalize("failed")
    tracker.finalize("success")
    assert ended == []
    tracker.end()
    tracker.end()
    assert ended == ["failed"]


def test_wandb_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    asked = {}

    class Settings:
        mode = "offline"

        def __init__(self, **settings):
            asked.update(settings)

    def stop(**_):
        raise ConnectionError

    fake = SimpleNamespace(Settings=Settings, setup=lambda: SimpleNamespace(settings=Settings()), init=stop)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    assert make_logger(LoggingConfig(kind="wandb"), tmp_path, [].append) is None
    assert 0 < asked["finish_timeout"] <= trackers.FINISH_SECONDS
    assert asked["finish_timeout_raises"] is True


@pytest.mark.parametrize("seconds", [0.0, 1e6])
def test_mlflow_is_asked_once_in_a_while_and_gets_every_point(seconds, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setattr(trackers, "WRITE_SECONDS", seconds)
    calls = []
    tracker = opened("mlflow", [])
    tracker._mlflow_client = SimpleNamespace(
        log_batch=lambda run_id, metrics: calls.append([(m.key, m.step, m.value) for m in metrics]),
        get_run=lambda run: run,
        set_terminated=lambda *_: calls.append("terminated"),
    )
    points = [("loss", step, 1.0 / step) for step in range(1, 1501)]
    for tag, step, value in points:
        tracker.write({tag: value}, step)
    tracker.finalize("success")
    tracker.end()
    assert calls.pop() == "terminated"
    assert [point for call in calls for point in call] == points
    assert [len(call) for call in calls] == ([1] * 1500 if seconds == 0 else [1, 1000, 499])


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("http://me:key@host:5000/a?token=key#key", "http://host:5000/a"),
        ("https://host", "https://host"),
        ("postgresql://me:k@y@host/store?password=key", "postgresql://host/store"),
        ("sqlite:////data/a b.db", "sqlite:////data/a b.db"),
    ],
)
def test_an_address_is_told_without_keys(address, public):
    assert trackers._public_address(address) == public


@pytest.fixture
def wandb():
    """The module, which reads the environment once, as it is in a new process."""
    module = pytest.importorskip("wandb")
    module.teardown()
    yield module
    module.teardown()


@pytest.mark.slow
def test_wandb_keeps_both_axes_and_goes_on_with_the_same_run(wandb, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder, said = tmp_path / "version_0", []
    draw("wandb", folder, [1, 2], said)
    time.sleep(1.1)  # its folders are named after the second in which they were made
    draw("wandb", folder, [3], said)
    wandb.teardown()  # waits until its own process has written all
    assert capfd.readouterr() == ("", "")
    (run,) = {json.loads((folder / "tracker.json").read_text())["run"]}
    files = sorted(folder.glob(f"wandb/offline-run-*-{run}/run-{run}.wandb"))
    rows, axes, settings = [], {}, {}
    for path in files:
        for kind, content in read_wandb(path):
            if kind == "history":
                rows.append({key: value for key, value in content.items() if not key.startswith("_")})
            elif kind == "metric":
                axes[content[0]] = content[1]
            else:
                settings.update(content)
    assert [row for row in rows if "reward" in row] == [
        {"reward": float(n), "avg_reward": 0.5, "steps": 25.0, "episode": n} for n in (1, 2, 3)
    ]
    assert [row["env_steps"] for row in rows if "loss" in row] == [100, 200, 300]
    assert (axes["reward"], axes["*"]) == ("episode", "env_steps")
    assert settings["envs"]["game"] == "pong"


def wandb_records(path):
    """The bytes of each record: blocks of 32 KiB that hold pieces with a check sum, a length and a kind."""
    content, at, record = path.read_bytes(), 7, b""  # the file's own mark
    while at + 7 <= len(content):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole record, or its last piece
            yield record
            record = b""


def read_wandb(path):
    """What a file of wandb's says: history rows, axes of metrics and settings."""
    from wandb.proto import wandb_internal_pb2

    for data in wandb_records(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            yield kind, {(i.key or ".".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item}
        elif kind == "metric":
            yield kind, (record.metric.name or record.metric.glob_name, record.metric.step_metric)
        elif kind == "config":
            yield kind, {(i.key or i.nested_key[0]): json.loads(i.value_json) for i in record.config.update}


@pytest.mark.slow
def test_wandb_without_a_login_is_one_sentence(wandb, tmp_path, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    said = []
    assert make_logger(LoggingConfig(kind="wandb"), tmp_path, said.append) is None
    (sentence,) = said
    assert "wandb login" in sentence
    assert "the run goes on" in sentence


@pytest.mark.slow
def test_mlflow_keeps_each_tag_on_its_axis_and_goes_on_with_the_same_run(tmp_path, monkeypatch, capfd):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    from mlflow.tracking import MlflowClient

    folder, said = tmp_path / "version_0", []
    draw("mlflow", folder, [1, 2], said)
    # A limit that changes on resume: MLflow would refuse it as a parameter.
    draw("mlflow", folder, [3], said, {**SETTINGS, "seed": 4})
    assert len(said) == 2, said
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("rl_speed").experiment_id])
    history = client.get_metric_history(run.info.run_id, "reward")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    history = client.get_metric_history(run.info.run_id, "time_share/act")
    assert [point.step for point in history] == [100, 200, 300]
    assert run.data.params == {"seed": "3", "envs.game": "pong", "envs.count": "2"}
    assert (run.info.status, run.info.run_name) == ("FINISHED", "version_0")


@pytest.mark.slow
def test_mlflow_in_another_store_begins_a_new_run_and_says_so(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, said = tmp_path / "version_0", []
    draw("mlflow", folder, [1], said)
    assert said == [f"curves: mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db"]
    before = json.loads((folder / "tracker.json").read_text())["run"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    draw("mlflow", folder, [2], said)
    after = json.loads((folder / "tracker.json").read_text())
    assert after["run"] != before
    assert said[1:] == [
        f"curves: sqlite:///{tmp_path}/other.db does not hold this run's earlier ones, which are at "
        f"sqlite:///{tmp_path}/mlflow.db; a new run begins there",
        f"curves: sqlite:///{tmp_path}/other.db",
    ]


@pytest.mark.slow
def test_mlflow_with_a_server_that_is_not_there_is_one_sentence(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    said = []
    assert make_logger(LoggingConfig(kind="mlflow"), tmp_path, said.append) is None
    (sentence,) = said
    assert sentence.startswith("the curves in mlflow cannot be written any more")


@pytest.mark.slow
def test_trackio_keeps_the_axes_beside_the_points_and_goes_on_with_the_same_run(tmp_path, monkeypatch, capfd):
    trackio = pytest.importorskip("trackio")
    from trackio import context_vars, sqlite_storage, utils

    for module in (sqlite_storage, utils, trackio):
        if hasattr(module, "TRACKIO_DIR"):
            monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    folder, said = tmp_path / "version_0", []
    draw("trackio", folder, [1, 2], said)
    draw("trackio", folder, [3], said)
    assert context_vars.current_run.get() is None  # which another run of the caller's may be
    assert capfd.readouterr().out == ""
    with sqlite3.connect(tmp_path / "trackio" / "rl_speed.db") as store:
        found = store.execute("select run_name, metrics from metrics order by id").fetchall()
        ((config,),) = store.execute("select config from configs").fetchall()
    assert {run for run, _ in found} == {json.loads((folder / "tracker.json").read_text())["run"]}
    points = [json.loads(text) for _, text in found]
    assert [row["episode"] for row in points if "reward" in row] == [1, 2, 3]
    assert [row["env_steps"] for row in points if "loss" in row] == [100, 200, 300]
    assert json.loads(config)["envs"]["game"] == "pong"
