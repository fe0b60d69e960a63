"""A Ray cluster of several nodes on this machine, for tests that take one away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

SMALL = {"object_store_memory": 80_000_000}


@contextmanager
def cluster_of(nodes: int, cpus: int, head_cpus: int) -> Iterator[Any]:
    """A cluster with that many nodes beside its head, which is never taken away."""
    from ray.cluster_utils import Cluster

    head = {**SMALL, "num_cpus": head_cpus, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus, **SMALL)
        yield cluster
    finally:
        cluster.shutdown()


def kill_a_node(cluster: Any, that_has: Callable[[list[psutil.Process]], list[psutil.Process]]) -> None:
    """Kills one node, not the head, on which `that_has` finds processes."""
    for node in list(cluster.worker_nodes):
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        if that_has(raylet.children(recursive=True)):
            cluster.remove_node(node, allow_graceful=False)
            return
    raise AssertionError("no node has such a process")
