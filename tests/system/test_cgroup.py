"""What a container may use, read from file systems made for the purpose."""

import pytest

from rl_speed.system.cgroup import cpu_quota, memory_limit
from tests.system.file_system import GIB, make_root

QUOTAS = {
    "version 2": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
    "version 2, no limit": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
    "version 2, the group above is tighter": (
        {
            "proc/self/cgroup": "0::/a/b",
            "sys/fs/cgroup/a/cpu.max": "200000 100000",
            "sys/fs/cgroup/a/b/cpu.max": "400000 100000",
        },
        2.0,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "300000",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000",
        },
        3.0,
    ),
    "version 1, the host's path is not there": (
        {
            "proc/self/cgroup": "4:cpu:/docker/elsewhere",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        0.5,
    ),
    "version 1, no limit": (
        {
            "proc/self/cgroup": "4:cpu:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        None,
    ),
    "cpuset is not cpu": ({"proc/self/cgroup": "3:cpuset:/", "sys/fs/cgroup/cpuset/cpu.cfs_quota_us": "1000"}, None),
    "nothing there": ({}, None),
    "a file of something else": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "what"}, None),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_cpu_quota(name, tmp_path):
    files, expected = QUOTAS[name]
    assert cpu_quota(make_root(tmp_path, files)) == expected


MEMORY = {
    "version 2": (
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": 4 * GIB,
            "sys/fs/cgroup/memory.current": 3 * GIB,
            "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {GIB}",
        },
        (4 * GIB, 2 * GIB),
    ),
    "version 2, no limit": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"}, None),
    "version 1": (
        {
            "proc/self/cgroup": "2:memory:/x",
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes": 2 * GIB,
            "sys/fs/cgroup/memory/x/memory.usage_in_bytes": GIB,
            "sys/fs/cgroup/memory/x/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB // 2}",
        },
        (2 * GIB, GIB // 2),
    ),
    "version 1, no limit": (
        {"proc/self/cgroup": "2:memory:/", "sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712},
        None,
    ),
}


@pytest.mark.parametrize("name", MEMORY)
def test_memory_limit(name, tmp_path):
    files, expected = MEMORY[name]
    assert memory_limit(make_root(tmp_path, files)) == expected
