"""Whether the other ranks are alive, and what they want: one connection from each rank to rank 0.

A collective waits for ever for a process that is gone where its backend does not notice (NCCL), and rank 0 may be
playing games while another one is lost or asked to stop. The system closes the connections of a process that ends,
however it ends; a machine that goes dark is noticed by keep-alive probes.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rl_speed.system.ending import Ending
from rl_speed.system.errors import RankError, UserError

POLL_SECONDS = 0.1
LEAVE_SECONDS = 8.0  # after a loss, for the main thread to end by itself
GREETING_SECONDS = 5.0
SETTLE_SECONDS = 2.0  # an error of a collective may come before the news of its cause
_PROBES = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}  # seconds, seconds, probes


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES.items():
        with suppress(AttributeError, OSError):  # not on every system, nor for every kind of socket
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Watch:
    """Hears of ranks that are gone or have failed, and passes wishes to stop on to rank 0.

    Args:
        rank: of this process.
        connections: to the others, by rank: rank 0 has one to each, the others have one to rank 0.
        ending: of this process. A wish that another rank was given sets its `stop`; a loss is noted in it.
    """

    def __init__(self, rank: int, connections: dict[int, socket.socket], ending: Ending) -> None:
        self._connections, self._ending = dict(connections), ending
        self.failure: RankError | UserError | None = None  # what is known of a rank that was lost
        self.last_words: Callable[[], str] = str  # see Ranks.say_at_last
        self._lost_at = 0.0
        self._has_wished = rank == 0
        self._is_closed = threading.Event()
        self._lock = threading.Lock()  # of the connections' sending side
        self._selector = selectors.DefaultSelector()
        self._rest: dict[int, bytes] = {}
        for other, connection in connections.items():
            _keep_alive(connection)
            connection.setblocking(True)
            self._selector.register(connection, selectors.EVENT_READ, other)
        self._thread = threading.Thread(target=self._run, name="rl_speed-ranks", daemon=True)
        self._thread.start()

    def why_lost(self) -> RankError | UserError | None:
        """What is known of a rank that is gone; waits a moment for the news."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while self.failure is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.failure

    def lose(self, sentence: str, is_users: bool = False) -> None:
        """Notes that a rank is gone; the first loss counts, and the others hear of it."""
        if self.failure is None and not self._is_closed.is_set():
            self.failure = UserError(sentence) if is_users else RankError(sentence)
            self._lost_at = time.monotonic()
            self._ending.is_rank_lost = True
            self.send({"lost": sentence, "is_users": is_users})

    def send(self, message: dict[str, Any]) -> None:
        """Tells all ranks that this one is connected to."""
        content = json.dumps(message).encode() + b"\n"
        with self._lock:
            for connection in self._connections.values():
                with suppress(OSError):
                    connection.sendall(content)

    def _run(self) -> None:
        while not self._is_closed.is_set():
            for key, _ in self._selector.select(POLL_SECONDS) if self._selector.get_map() else []:
                self._read(key.data, key.fileobj)  # type: ignore[arg-type]
            if not self._has_wished and self._ending.stop.is_set():
                self._has_wished = True
                self.send({"wish": True})
            if self.failure is not None and time.monotonic() > self._lost_at + LEAVE_SECONDS:
                self._leave()

    def _read(self, other: int, connection: socket.socket) -> None:
        try:
            content = connection.recv(65536)
        except OSError:
            content = b""
        *lines, self._rest[other] = (self._rest.get(other, b"") + content).split(b"\n")
        for line in lines:
            with suppress(ValueError):  # not one of ours
                self._hear(other, json.loads(line))
        if not content:
            self._selector.unregister(connection)
            with self._lock:
                known = self._connections.pop(other, None)
            connection.close()
            if known is not None:
                self.lose(f"rank {other} is gone without a word, so the run ends")

    def _hear(self, other: int, message: dict[str, Any]) -> None:
        if "wish" in message:
            self._ending.stop.set()
        elif "bye" in message:
            with self._lock:
                self._connections.pop(other, None)
        elif "lost" in message:
            self.lose(message["lost"], message["is_users"])

    def _leave(self) -> None:
        """The main thread is held up where nothing can be done for it, such as by a collective on a GPU."""
        with suppress(Exception):
            sys.stderr.write(f"Error: {self.failure}{self.last_words()}\n")
            sys.stderr.flush()
        os._exit(1)

    def close(self) -> None:
        """This rank leaves in order; may be called twice."""
        if self._is_closed.is_set():
            return
        self.send({"bye": True})
        self._is_closed.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        for connection in self._connections.values():
            connection.close()
        self._selector.close()


def listen(host: str) -> socket.socket:
    """A socket of rank 0's that the others connect to, at a free port.

    Args:
        host: address of this machine that they use; "127.0.0.1" keeps other machines out.
    """
    return socket.create_server((host if host == "127.0.0.1" else "", 0))


def accept(server: socket.socket, world_size: int, token: str, seconds: float) -> dict[int, socket.socket]:
    """The connections of ranks 1 to W - 1, on rank 0; whoever does not know the token is none. Raises TimeoutError."""
    connections: dict[int, socket.socket] = {}
    greetings = {_greeting(rank, token): rank for rank in range(1, world_size)}
    server.settimeout(seconds)
    while len(connections) < world_size - 1:
        connection, _ = server.accept()
        connection.settimeout(GREETING_SECONDS)
        greeting = b""
        with suppress(OSError):
            while len(greeting) < len(_greeting(0, token)) and (part := connection.recv(64)):
                greeting += part
        if greeting in greetings:
            connections[greetings[greeting]] = connection
        else:
            connection.close()
    return connections


def connect(address: tuple[str, int], rank: int, token: str, seconds: float) -> dict[int, socket.socket]:
    """The connection to rank 0, on another one; raises OSError."""
    connection = socket.create_connection(address, seconds)
    connection.sendall(_greeting(rank, token))
    return {0: connection}


def _greeting(rank: int, token: str) -> bytes:
    return rank.to_bytes(4, "big") + token.encode()
