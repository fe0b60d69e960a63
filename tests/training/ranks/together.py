"""Ranks for tests: as threads of this process, or as processes that a launcher would start."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from torch import distributed

from rl_speed.training.ranks.group import JoinedRanks
from rl_speed.training.ranks.place import Place
from tests.command_line import ROOT


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_threads(size, work):
    """What `work(ranks)` gives on each of `size` ranks, by rank."""
    port = free_port()

    def one(rank):
        store = distributed.TCPStore("127.0.0.1", port, size, rank == 0, timedelta(seconds=60), wait_for_workers=False)
        ranks = JoinedRanks(Place(rank, size, rank, size), store, "cpu", lambda: None)
        try:
            value = work(ranks)
            ranks.barrier()
            return value
        finally:
            ranks.close()

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(one, range(size)))


def rank_variables(rank, size, port):
    """What torchrun tells a process on a machine of its own kind."""
    return {
        **os.environ,
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }


def run_script(text, size, cwd, timeout=300):
    """Runs a program once for each rank; their outputs, by rank."""
    port = free_port()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", text], cwd=cwd, env=rank_variables(rank, size, port), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for rank in range(size)
    ]  # fmt: skip
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return outputs
