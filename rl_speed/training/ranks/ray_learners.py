"""Ranks as workers of a Ray Train TorchTrainer in a cluster: it starts them, and starts all anew when one dies.

The process that the user started learns nothing itself. It and rank 0 share the run's folder, through which go what
rank 0 has to say, a wish to stop, and a mistake that starting anew would not mend.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
from rich.console import Console
from torch import distributed

from rl_speed.config import RunConfig
from rl_speed.system.durable import write_text_whole
from rl_speed.system.ending import Ending
from rl_speed.system.errors import EndedBeforeStartError, RankError, UserError
from rl_speed.system.ray_cluster import RayCluster, connect, own_address, torch_training
from rl_speed.training.ranks.place import Place

_POLL_SECONDS = 0.2
_STORE_BYTES = 80_000_000


@dataclass(frozen=True)
class Worker:
    """What a rank is given.

    Attributes:
        place: of this process.
        address: of rank 0: host and port.
        console: where rank 0 speaks; the others are quiet.
        ending: hears of the user's wish to stop, on rank 0, and of the end of the time.
    """

    place: Place
    address: tuple[str, int]
    console: Console
    ending: Ending


Learn = Callable[[Worker], None]


class _Post:
    """The files through which the user's process and rank 0 speak.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / ".ray"
        self._said, self._stop, self._error = (self.folder / name for name in ("said.txt", "stop", "error.json"))
        self._read_bytes = 0

    def open(self) -> None:
        """Before the ranks are started; what a killed process has left there is nobody's wish any more."""
        self.close()
        self.folder.mkdir()

    def close(self) -> None:
        """Removes them all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def has_begun(self) -> bool:
        """Whether rank 0 was there."""
        return self._said.exists()

    def console(self) -> Console:
        """Rank 0's."""
        return Console(file=self._said.open("a", buffering=1, encoding="utf-8"), width=200)

    def news(self) -> str:
        """What rank 0 has said since the last call, in whole lines."""
        try:
            with self._said.open("rb") as file:
                file.seek(self._read_bytes)
                lines, end, _ = file.read().rpartition(b"\n")
        except OSError:  # nothing was said yet
            return ""
        self._read_bytes += len(lines) + len(end)
        return (lines + end).decode("utf-8", "replace")

    def wish(self) -> None:
        """The user wants the run to end."""
        with suppress(OSError):
            self._stop.touch()

    def pass_wish_on(self, stop: threading.Event) -> None:
        """On rank 0: sets `stop` once there is a wish."""

        def watch() -> None:
            while not self._stop.exists():
                time.sleep(_POLL_SECONDS)
            stop.set()

        threading.Thread(target=watch, name="rl_speed-wish", daemon=True).start()

    def tell(self, error: UserError, rank: int) -> None:
        """A rank has met a mistake of the user's. Others hear of it and tell it too; rank 0's sentence is shown."""
        if rank and self._error.exists():
            return
        ended = [error.reason, error.doing] if isinstance(error, EndedBeforeStartError) else None
        write_text_whole(self._error, json.dumps({"sentence": str(error), "ended": ended}))

    def raise_told(self) -> None:
        """Raises what was told."""
        if not self._error.is_file():
            return
        told = json.loads(self._error.read_text(encoding="utf-8"))
        raise UserError(told["sentence"]) if told["ended"] is None else EndedBeforeStartError(*told["ended"])


def run_learners(config: RunConfig, folder: Path, learn: Learn, console: Console, ending: Ending) -> None:
    """Has `learn` carried out by `config.trainer.world_size` workers; returns when the run has ended.

    Args:
        config: devices, restarts and the cluster's address.
        folder: of the run, which all machines see.
        learn: what each rank does; pickled, code included; called again on every rank when one is lost.
        console: where the user reads.
        ending: of the run.

    Raises:
        UserError: a mistake that can be put right.
        RankError: ranks were lost more often than `trainer.max_restarts`.
    """
    ranks = config.trainer.world_size
    cluster = connect("trainer.launcher = ray", config.actors.address, _cpus(config), _STORE_BYTES, ranks)
    post = _Post(folder)
    try:
        _check_places(cluster, config)
        post.open()
        trainer = _make_trainer(cluster, config, post, learn, ending)
        failure: list[BaseException] = []

        def fit() -> None:
            try:
                trainer.fit()
            except BaseException as error:
                failure.append(error)

        # In a thread: in the main one Ray Train would answer Ctrl-C itself, by ending the ranks before they save.
        thread = threading.Thread(target=fit, name="rl_speed-ray-train", daemon=True)
        thread.start()
        give_up = time.monotonic() + config.trainer.timeout_seconds
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
            _show(post, console)
            if ending.stop.is_set():
                post.wish()
            if not post.has_begun:
                _check_waiting(cluster, config, ending, give_up)
        _show(post, console)
        post.raise_told()
        if failure:
            raise RankError(
                f"ranks were lost more often than trainer.max_restarts = {config.trainer.max_restarts}; the last time: "
                f"{_reason(failure[0])}"
            )
    finally:
        cluster.close()
        post.close()


def _show(post: _Post, console: Console) -> None:
    if news := post.news():
        console.print(news, end="", highlight=False, soft_wrap=True, markup=False)


def _cpus(config: RunConfig) -> int:
    """Of a cluster that is started for this run."""
    each = max(config.actors.threads, config.envs.threads) if config.actors.kind == "ray" else 0
    return config.trainer.world_size + max(config.actors.count, config.trainer.world_size) * each


def _check_places(cluster: RayCluster, config: RunConfig) -> None:
    """Ray would wait for more nodes for ever."""
    ranks, gpus = config.trainer.world_size, int(cluster.ray.cluster_resources().get("GPU", 0))
    if config.trainer.accelerator == "gpu" and gpus < ranks:
        raise UserError(
            f"trainer.accelerator = gpu: {ranks} ranks need a GPU each, but the Ray cluster has {gpus}; start more "
            f"nodes, lower trainer.devices, or set it to cpu"
        )
    places, needed = cluster.places(1), _cpus(config)
    if places < needed:
        raise UserError(
            f"trainer.devices x trainer.num_nodes = {ranks} ranks, and players in Ray, need {needed} CPUs, but the "
            f"nodes of the Ray cluster have {places}; start more nodes, or lower them or actors.count"
        )


def _check_waiting(cluster: RayCluster, config: RunConfig, ending: Ending, give_up: float) -> None:
    """While no rank has begun, nobody but this process can end the wait."""
    if ending.wish is not None:
        raise EndedBeforeStartError(ending.wish, "Ray started the ranks")
    if time.monotonic() > give_up:
        raise RankError(
            f"Ray has not started all ranks within trainer.timeout_seconds = {config.trainer.timeout_seconds:g}; the "
            f"cluster has {cluster.description()}: start nodes, use fewer ranks or raise it"
        )


def _make_trainer(cluster: RayCluster, config: RunConfig, post: _Post, learn: Learn, ending: Ending) -> Any:
    ray_train, torch_trainer, torch_config = torch_training()
    wants = config.trainer.accelerator
    gpus = cluster.ray.cluster_resources().get("GPU", 0)
    use_gpu = wants == "gpu" or (wants == "auto" and gpus >= config.trainer.world_size)
    deadline = None if ending.seconds_left is None else time.time() + ending.seconds_left
    return torch_trainer(
        _serve,
        train_loop_config={"content": cloudpickle.dumps((learn, post.folder.parent, deadline))},
        scaling_config=ray_train.ScalingConfig(
            num_workers=config.trainer.world_size, use_gpu=use_gpu, resources_per_worker={"CPU": 1, "GPU": int(use_gpu)}
        ),
        run_config=ray_train.RunConfig(
            name="learners",
            storage_path=str(post.folder),
            failure_config=ray_train.FailureConfig(max_failures=config.trainer.max_restarts),
        ),
        # The ranks bring groups of their own; this one is for finding each other.
        torch_config=torch_config(backend="gloo"),
    )


def _serve(arguments: dict[str, Any]) -> None:
    """What Ray Train calls in each worker."""
    learn, folder, deadline = cloudpickle.loads(arguments["content"])
    context = torch_training()[0].get_context()
    place = Place(
        context.get_world_rank(), context.get_world_size(), context.get_local_rank(), context.get_local_world_size(),
        "ray",
    )  # fmt: skip
    post = _Post(folder)
    ending = Ending(None, None if deadline is None or not place.is_first else max(0.1, deadline - time.time()))
    if place.is_first:
        post.pass_wish_on(ending.stop)
    console = post.console() if place.is_first else Console(quiet=True)
    try:
        learn(Worker(place, _address_of_first(place), console, ending))
    except UserError as error:
        post.tell(error, place.rank)
    finally:
        if place.is_first:
            console.file.close()


def _address_of_first(place: Place) -> tuple[str, int]:
    """A free port of rank 0's machine, agreed on through the group that Ray Train has made, which ends here.

    Lightning would send something through it with every batch, and from signal handlers.
    """
    if place.world_size == 1:
        return "127.0.0.1", 0
    torch_distributed: Any = distributed
    where: list[Any] = [None]
    if place.is_first:
        with socket.create_server(("", 0)) as server:
            where = [(own_address(), server.getsockname()[1])]
    torch_distributed.broadcast_object_list(where, src=0)
    torch_distributed.barrier()
    torch_distributed.destroy_process_group()
    host, port = where[0]
    return str(host), int(port)


def _reason(error: BaseException) -> str:
    """The first sentence of what a worker has met, without what Ray says around it."""
    causes = getattr(error, "worker_failures", None)
    cause = next(iter(causes.values())) if causes else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (lines[-1] if lines else type(cause).__name__)[:300]
