"""Joining and starting clusters: what is said where it fails, and what a process notices of it."""

import faulthandler
import functools
import os
import random
import signal
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rl_speed.system import ray_cluster
from rl_speed.system.errors import UserError
from rl_speed.system.ray_cluster import RayCluster, connect
from tests.experience.generators.fake_ray import FakeRay


def test_without_ray_the_command_that_brings_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"^actors.kind = ray needs Ray \(.*\); pip install 'rl-speed\[ray\]'$"):
        connect("actors.kind = ray", None, 1, 0)


class Server:
    """Answers the first connection with some bytes, and says nothing more."""

    def __init__(self, answer):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, args=(answer,), daemon=True)
        self._thread.start()

    def _serve(self, answer):
        connection, _ = self._listener.accept()
        connection.recv(100)
        connection.sendall(answer)
        if not answer:
            connection.close()
        self._listener.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH"])
def test_what_is_no_head_is_told_at_once(answer):
    address = Server(answer).address
    with pytest.raises(UserError) as caught:
        ray_cluster._check_answers(address)
    message = str(caught.value)
    for part in (f"actors.address = {address} does not answer", "no head of a cluster", "`ray start --head` printed"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "nobody.invalid:6379", "[::1]:1"])
def test_where_nobody_is_that_is_told_at_once(address):
    with pytest.raises(UserError, match="does not answer"):
        ray_cluster._check_answers(address)


def test_a_server_of_http2_is_let_through():
    ray_cluster._check_answers(Server(bytes(2) + b"\x06\x04" + bytes(11)).address)


def test_places_are_those_of_each_node():
    cluster = RayCluster(FakeRay(random.Random(0), nodes=(4.0, 3.5, 1.0)), lambda: None)
    assert [cluster.places(cpus) for cpus in (1, 2, 3, 4, 5)] == [8, 3, 2, 1, 0]
    assert cluster.description() == "4 living nodes with 8.5 CPUs, of which 0.5 are free"


def test_a_cluster_is_left_once():
    ends = []
    cluster = RayCluster(FakeRay(random.Random(0)), lambda: ends.append(True))
    cluster.close()
    cluster.close()
    assert ends == [True]


@pytest.mark.ray
def test_a_local_cluster_leaves_no_trace(monkeypatch):
    pytest.importorskip("ray")
    made, make = [], tempfile.mkdtemp  # its own folders: clusters of other tests have theirs beside it

    def noted(*arguments, **settings):
        made.append(Path(make(*arguments, **settings)))
        return str(made[-1])

    monkeypatch.setattr("rl_speed.system.ray_cluster.tempfile.mkdtemp", noted)

    def state():
        signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        folders = [path for path in made if path.exists()]
        return signals, mask, sys.excepthook, faulthandler.is_enabled(), folders

    handler = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        before, processes = state(), set(psutil.Process().children(recursive=True))
        cluster = connect("actors.kind = ray", None, 3, 0)
        assert state()[:-1] == before[:-1]
        assert state()[-1] == made != []
        assert cluster.places(1) == 3
        started = set(psutil.Process().children(recursive=True)) - processes
        # Ctrl-C and the end of the terminal reach the whole group; these are not to hear of it.
        hears = {signal.SIGINT, signal.SIGHUP}
        for process in started:
            with suppress(OSError, psutil.Error):  # one that has just ended
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                blocked = int(next(line for line in lines if line.startswith("SigBlk")).split()[1], 16)
                assert all(blocked >> (number - 1) & 1 for number in hears), process.cmdline()
        cluster.close()
        assert state() == before
        assert not psutil.wait_procs(started, timeout=60)[1]
        again = connect("actors.kind = ray", None, 1, 0)
        assert again.places(1) == 1
        again.close()
    finally:
        signal.signal(signal.SIGTERM, handler)


@pytest.mark.ray
def test_auto_without_a_cluster_is_one_sentence(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # As on a machine without a cluster: other tests, or other people, may run one here.
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", functools.cache(set))
    monkeypatch.setattr("ray._private.services.find_bootstrap_address", lambda temp_dir: None)
    with pytest.raises(UserError, match=r"^actors.address = auto: the cluster cannot be joined \(.*`ray start --a"):
        connect("actors.kind = ray", "auto", 1, 0)
    assert "RAY_gcs_rpc_server_reconnect_timeout_s" not in os.environ
