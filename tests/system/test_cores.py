"""Cores that may be used: affinity, a container's quota, hardware threads."""

import pytest

from rl_speed.system import cores
from rl_speed.system.cores import usable_cores
from rl_speed.system.errors import UserError
from tests.system.file_system import make_root


def topology(*places):
    """Files that say on which (package, core) each processor lies."""
    files = {}
    for number, (package, core) in enumerate(places):
        folder = f"sys/devices/system/cpu/cpu{number}/topology"
        files |= {f"{folder}/physical_package_id": package, f"{folder}/core_id": core}
    return files


TWO_BY_TWO = topology((0, 0), (0, 1), (0, 0), (0, 1))  # two cores of two hardware threads each


@pytest.mark.parametrize(
    ("files", "allowed", "count", "physical"),
    [
        ({}, [0, 1, 2, 3], 4, 4),
        (TWO_BY_TWO, [0, 1, 2, 3], 4, 2),
        (TWO_BY_TWO, [0, 2], 2, 1),  # both threads of one core
        (TWO_BY_TWO, [3], 1, 1),
        (topology((0, 0), (1, 0)), [0, 1], 2, 2),  # two packages with a core 0 each
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "250000 100000"}, list(range(64)), 2, 2),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, [0, 1], 1, 1),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "800000 100000"}, [0, 1], 2, 2),
    ],
)
def test_usable_cores(files, allowed, count, physical, tmp_path, monkeypatch):
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 64)
    found = usable_cores(make_root(tmp_path, files), allowed)
    assert (found.count, found.physical) == (count, physical)


def test_a_limit_of_the_users_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 4)
    monkeypatch.setenv("RL_SPEED_CORES", "3")
    found = usable_cores(make_root(tmp_path, {}), [0, 1, 2, 3])
    assert (found.count, found.physical) == (3, 3)
    assert found.reason == "4 of the machine's 4, 3 by RL_SPEED_CORES"
    assert usable_cores(make_root(tmp_path / "two", {}), [0, 1]).count == 2


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_limit_that_is_no_number_is_one_sentence(text, tmp_path, monkeypatch):
    monkeypatch.setenv("RL_SPEED_CORES", text)
    with pytest.raises(UserError, match=f"RL_SPEED_CORES = '{text}' must be a number of cores"):
        usable_cores(make_root(tmp_path, {}), [0, 1])


def test_the_reason_names_what_decided(tmp_path, monkeypatch):
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 4)
    files = {**TWO_BY_TWO, "proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "250000 100000"}
    reason = usable_cores(make_root(tmp_path / "quota", files), [0, 1, 2]).reason
    assert reason == "3 of the machine's 4 (affinity), 2.5 by the container's quota"
    reason = usable_cores(make_root(tmp_path / "threads", TWO_BY_TWO), [0, 1, 2, 3]).reason
    assert reason == "4 of the machine's 4, two hardware threads a core: 2 cores"
