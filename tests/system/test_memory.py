"""Memory that may be used."""

import psutil

from rl_speed.system.memory import free_memory_bytes, total_memory_bytes
from tests.system.test_cgroup import GIB, make_root


def test_a_containers_limit_is_the_memory_there_is(tmp_path):
    files = {
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/memory.max": GIB // 4,
        "sys/fs/cgroup/memory.current": GIB // 16,
    }
    root = make_root(tmp_path, files)
    assert total_memory_bytes(root) == GIB // 4
    assert free_memory_bytes(root) == GIB // 4 - GIB // 16


def test_without_a_limit_it_is_the_machines(tmp_path):
    assert total_memory_bytes(tmp_path) == psutil.virtual_memory().total
