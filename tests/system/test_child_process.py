"""Processes that belong to another one."""

import os
import subprocess
import sys

import psutil

from rl_speed.system.child_process import kill_tree, watch_parent


def test_the_child_leaves_when_its_parent_is_gone():
    read, write = os.pipe()
    left = []
    thread = watch_parent(lambda: os.read(read, 1), lambda: left.append(True))
    assert not left
    os.close(write)
    thread.join(5)
    os.close(read)
    assert left == [True]


def test_a_process_is_ended_with_all_that_it_started():
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    child = psutil.Process(int(process.stdout.readline()))
    kill_tree(process.pid)
    assert process.wait(60) != 0
    process.stdout.close()
    assert not psutil.wait_procs([child], timeout=60)[1]
    kill_tree(process.pid)  # what is gone is no error
