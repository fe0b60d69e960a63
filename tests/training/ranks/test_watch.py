"""Losses and wishes of other ranks."""

import socket
import subprocess
import sys
import threading
import time

import pytest

from rl_speed.system.ending import Ending
from rl_speed.system.errors import RankError, UserError
from rl_speed.training.ranks.watch import Watch, accept, connect, listen


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def watches():
    """Watches of ranks 0, 1 and 2, their endings, and the connections of ranks 1 and 2."""
    server = listen("127.0.0.1")
    with server:
        address = server.getsockname()
        others = {}
        stranger = socket.create_connection(address)  # comes first, knows no token, and is no rank
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        threads = [
            threading.Thread(target=lambda rank=rank: others.update({rank: connect(address, rank, "token", 10.0)}))
            for rank in (1, 2)
        ]
        for thread in threads:
            thread.start()
        first = accept(server, 3, "token", 10.0)
        for thread in threads:
            thread.join()
        stranger.close()
    endings = [Ending() for _ in range(3)]
    made = [Watch(0, first, endings[0]), *(Watch(rank, others[rank], endings[rank]) for rank in (1, 2))]
    yield made, endings, others
    for watch in made:
        watch.close()


def test_a_rank_that_is_gone_ends_all_others(watches):
    made, endings, others = watches
    others[1][0].shutdown(socket.SHUT_RDWR)  # as when its process is killed
    until(lambda: endings[0].is_rank_lost and endings[2].is_rank_lost)
    for rank in (0, 2):
        assert isinstance(made[rank].why_lost(), RankError)
        assert "rank 1 is gone" in str(made[rank].why_lost())
        assert endings[rank].reason == "rank_lost"


def test_a_rank_says_why_it_ends(watches):
    made, endings, _ = watches
    made[2].send({"lost": "rank 2 has ended: the disk is full", "is_users": True})
    until(lambda: endings[0].is_rank_lost and endings[1].is_rank_lost)
    for rank in (0, 1):
        assert isinstance(made[rank].why_lost(), UserError)
        assert "the disk is full" in str(made[rank].why_lost())


def test_a_wish_reaches_rank_0_only(watches):
    _, endings, _ = watches
    endings[2].stop.set()
    until(endings[0].stop.is_set)
    time.sleep(0.3)
    assert not endings[1].stop.is_set()


def test_who_leaves_in_order_is_not_missed(watches):
    made, endings, _ = watches
    made[1].close()
    made[0].close()
    time.sleep(0.5)
    assert not any(ending.is_rank_lost for ending in endings)


def test_words_that_are_none_of_ours_do_not_end_the_watch(watches):
    _, endings, others = watches
    others[1][0].sendall(b"no json\n")
    endings[2].stop.set()
    until(endings[0].stop.is_set)
    assert not endings[0].is_rank_lost


def test_a_process_that_cannot_end_by_itself_is_ended_with_its_last_words(tmp_path):
    program = """
import socket, threading, time
from rl_speed.system.ending import Ending
from rl_speed.training.ranks import watch as module
module.LEAVE_SECONDS = 0.2
here, there = socket.socketpair()
watch = module.Watch(0, {1: here}, Ending())
watch.last_words = lambda: "; go on with that"
there.close()
time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("Error: rank 1 is gone without a word, so the run ends; go on with that\n")
