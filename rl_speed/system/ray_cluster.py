"""A Ray cluster: one that is running is joined, or one is started on this machine and ended with the run.

The only file that imports Ray; others are given it.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rl_speed.system.errors import UserError
from rl_speed.system.machine import gpu_names

CONNECT_SECONDS = 5.0
LEAST_STORE_BYTES = 80_000_000  # Ray takes no less than 75 MiB
# Ray ends a program whose cluster has had no head for a minute, without a word to it. This one learns it from its
# players, and saves the run first.
_WITHOUT_HEAD, _WITHOUT_HEAD_SECONDS = "RAY_gcs_rpc_server_reconnect_timeout_s", "86400"
# What a client says first, an empty frame of settings included; a server's first frame is its settings (RFC 9113, 3.4).
_HTTP2_SETTINGS = b"\x04"
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _HTTP2_SETTINGS + bytes(5)
_LONGEST_FOLDER = 40  # characters: the paths of sockets below it may have 107


class RayCluster:
    """A connection to a cluster.

    Args:
        ray: the module.
        end: ends the connection, or the cluster; called once.
    """

    def __init__(self, ray: Any, end: Callable[[], None]) -> None:
        self.ray = ray
        self._end: Callable[[], None] | None = end

    def places(self, cpus: int) -> int:
        """How many processes with `cpus` CPUs each the nodes have room for, if nothing else runs there."""
        return sum(int(_cpus(node) // cpus) for node in self._nodes())

    def description(self) -> str:
        """What the cluster has, in words; waits a few seconds at most, for it may have lost its head."""
        answer: list[str] = []

        def ask() -> None:
            nodes = self._nodes()
            free = self.ray.available_resources().get("CPU", 0.0)
            cpus = f"{sum(map(_cpus, nodes)):g} CPUs, of which {free:g} are free"
            answer.append(f"{len(nodes)} living node{'' if len(nodes) == 1 else 's'} with {cpus}")

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(CONNECT_SECONDS)
        return answer[0] if answer else "no head that answers"

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]

    def close(self) -> None:
        """Leaves the cluster, or ends it if it was started here; may be called twice."""
        end, self._end = self._end, None
        if end is not None:
            end()


def _cpus(node: dict[str, Any]) -> float:
    return float(node["Resources"].get("CPU", 0.0))


def connect(
    asked_by: str,
    address: str | None,
    cpus: int,
    store_bytes: int,
    gpus: int = 0,
    address_as: str = "actors.address =",
) -> RayCluster:
    """The cluster that this process is in already; else the one at an address; else a new one on this machine.

    Handlers of signals, and what a program notices of an import, stay as they are.

    Args:
        asked_by: field and value that want Ray, for sentences.
        address: host:port of the head, or auto; None: a new cluster.
        cpus: of a new one.
        store_bytes: memory for objects of a new one.
        gpus: of a new one, at most; none that this machine has not.
        address_as: how the user gave the address, for sentences.

    Raises:
        UserError: Ray is not installed, or the cluster does not answer.
    """
    with _nothing_changed():
        ray = _import_ray(asked_by)
        if ray.is_initialized():  # the caller's, or we are a process of a cluster
            return RayCluster(ray, lambda: None)
        with ExitStack() as undo:
            if address is None:
                folder = tempfile.mkdtemp(prefix="rl_speed_ray_")
                undo.callback(shutil.rmtree, folder, ignore_errors=True)
            undo.callback(ray.shutdown)
            if address is None:
                _start(ray, asked_by, (cpus, min(gpus, len(gpu_names()))), store_bytes, folder)
            else:
                _join(ray, address, address_as)
            return RayCluster(ray, undo.pop_all().close)


def _import_ray(asked_by: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise UserError(f"{asked_by} needs Ray ({error}); pip install 'rl-speed[ray]'") from None
    return ray


def torch_training() -> tuple[Any, Any, Any]:
    """Ray Train, its TorchTrainer, and the settings of that one's process group.

    Raises:
        UserError: Ray is installed without Ray Train.
    """
    try:
        from ray import train
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError as error:
        raise UserError(f"trainer.launcher = ray needs Ray Train ({error}); pip install 'rl-speed[ray]'") from None
    return train, TorchTrainer, TorchConfig


def own_address() -> str:
    """The address by which other nodes know this one, in a process of a cluster."""
    from ray import util

    address: Callable[[], str] = util.get_node_ip_address
    return address()


def _start(ray: Any, asked_by: str, size: tuple[int, int], store_bytes: int, folder: str) -> None:
    cpus, gpus = size
    short = {"_temp_dir": folder} if len(folder) <= _LONGEST_FOLDER else {}
    memory = max(store_bytes, LEAST_STORE_BYTES)
    try:
        _initialise(
            ray, "local", num_cpus=cpus, num_gpus=gpus, object_store_memory=memory, include_dashboard=False, **short
        )
    except Exception as error:
        raise UserError(
            f"{asked_by}: no cluster can be started on this machine ({brief(error)}); give actors.address of one that "
            f"is running"
        ) from None


def _join(ray: Any, address: str, address_as: str) -> None:
    if address != "auto":
        _check_answers(address, address_as)
    try:
        _initialise(ray, address)
    except Exception as error:
        raise UserError(
            f"{address_as} {address}: the cluster cannot be joined ({brief(error)}); this machine has to be in "
            f"it: run `ray start --address=HOST:PORT` here first, with the cluster's version of Ray, and set "
            f"RAY_AUTH_MODE=token here too if a token guards it"
        ) from None


def brief(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _check_answers(address: str, address_as: str = "actors.address =") -> None:
    """Looks whether something is there that speaks HTTP/2, as a head does; Ray itself would try for five minutes."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(_HTTP2_GREETING)
                if connection.recv(4)[3:] != _HTTP2_SETTINGS:
                    raise OSError("what is there is no head of a cluster")
    except (OSError, OverflowError) as error:
        raise UserError(
            f"{address_as} {address} does not answer as a Ray cluster does ({error}); give the address that "
            f"`ray start --head` printed, or leave it out to have this machine alone"
        ) from None


def _initialise(ray: Any, address: str, **settings: Any) -> None:
    before = os.environ.get(_WITHOUT_HEAD)
    os.environ.setdefault(_WITHOUT_HEAD, _WITHOUT_HEAD_SECONDS)
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it notes how a cluster is guarded
    try:
        ray.init(address, configure_logging=False, log_to_driver=False, **settings)
    finally:
        logger.setLevel(level)
        if before is None:
            del os.environ[_WITHOUT_HEAD]


@contextmanager
def _nothing_changed() -> Iterator[None]:
    """What Ray changes of a process comes back; what it starts never hears of Ctrl-C or of the end of the terminal.

    Blocked signals stay blocked in the processes and threads that are started meanwhile; here they come afterwards.
    """
    is_main = threading.current_thread() is threading.main_thread()
    hook, has_faulthandler, terminate = sys.excepthook, faulthandler.is_enabled(), signal.getsignal(signal.SIGTERM)
    can_block = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP}) if can_block else set()
    try:
        yield
    finally:
        sys.excepthook = hook
        if not has_faulthandler:
            faulthandler.disable()
        if is_main and terminate is not None:
            signal.signal(signal.SIGTERM, terminate)
        if can_block:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
