"""The transport over pipes: whom it gives up, and when."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from rl_speed.experience.generators.pipes import PipeTransport
from rl_speed.experience.generators.protocol import Order
from rl_speed.system.errors import ActorError, ActorGoneError, UserError
from tests.command_line import HANG_SECONDS
from tests.experience.generators.scripted_actors import ScriptedActor, fail, refuse

ROOT = Path(__file__).parents[3]
ORDER = Order(slot=0, weights_row=0, epsilon=0.0, temperature=0.0, env_steps=0, env_steps_stride=1)


def test_a_traceback_is_reported_even_if_the_next_order_comes_too_late():
    transport = PipeTransport([fail], timeout_seconds=60.0)
    process = psutil.Process(transport.process_ids[0])
    deadline = time.monotonic() + HANG_SECONDS
    while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(ActorError, match=r"actor 0 failed; its traceback:\n[\s\S]*ValueError: no such game") as caught:
        transport.send(0, ORDER)
    assert not isinstance(caught.value, ActorGoneError)
    transport.close()
    assert transport.process_ids == []
    transport.close()


def test_what_a_user_can_put_right_is_told_as_that():
    transport = PipeTransport([refuse], timeout_seconds=60.0)

    def exchange():
        transport.send(0, ORDER)  # may find the process gone already
        transport.receive(HANG_SECONDS)

    with pytest.raises(UserError, match=r"^env: it shows no images$"):
        exchange()
    transport.close()


def test_a_process_that_cannot_start_takes_the_others_with_it():
    # A lambda cannot be pickled.
    with pytest.raises(Exception, match="pickle"):
        PipeTransport([fail, lambda: fail()], timeout_seconds=60.0)
    assert not multiprocessing.active_children()


def test_a_close_that_was_interrupted_is_finished_by_the_next_one(monkeypatch):
    transport = PipeTransport([partial(ScriptedActor, index, 1, None) for index in range(2)], timeout_seconds=60.0)
    processes = [psutil.Process(pid) for pid in transport.process_ids]

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transport._processes[1], "join", interrupt)
        with pytest.raises(KeyboardInterrupt):
            transport.close()
    assert len(transport.process_ids) == 1
    transport.close()
    assert transport.process_ids == []
    assert not psutil.wait_procs(processes, timeout=HANG_SECONDS)[1]


# Two actors that need up to half a second for a rollout; prints the processes after the first one.
LEARNER = """
import torch
from functools import partial
from tests.experience.generators.test_rounds import ENVS, SETTINGS, make_parts
from tests.experience.generators.scripted_actors import ScriptedActor
from rl_speed.experience.generators.actors import ActorGenerator
from rl_speed.system.ending import Ending
from rl_speed.experience.generators.memory import ActorMemory
from rl_speed.experience.generators.pipes import PipeTransport

if __name__ == "__main__":
    rounds, policy, timer = make_parts(SETTINGS["two_actors"])
    memory = ActorMemory.allocate_shared(ENVS, rounds, policy.network)
    transport = PipeTransport([partial(ScriptedActor, i, 1, memory.of_actor(i, 1), 0.25) for i in range(2)], 60.0)
    generator = ActorGenerator(rounds, memory, transport, policy, timer, Ending())
    next(generator)
    transport.patience.limit_seconds = 6.0
    print(*transport.process_ids, flush=True)
    for _ in range(15):
        next(generator)
    generator.close()
    print("done", flush=True)
"""


FORGETFUL = """
import sys
from functools import partial
from rl_speed.experience.generators.pipes import PipeTransport
from tests.experience.generators.scripted_actors import ScriptedActor

if __name__ == "__main__":
    transport = PipeTransport([partial(ScriptedActor, 0, 1, None)], 60.0)
    if "drop" in sys.argv:
        del transport
    raise SystemExit("forgot to close")
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["keep", "drop"])
def test_a_program_that_forgets_to_close_ends(how):
    command = [sys.executable, "-c", FORGETFUL, how]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=HANG_SECONDS)
    assert (done.returncode, done.stderr.strip()) == (1, "forgot to close")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs SIGSTOP")
def test_a_learner_that_was_stopped_and_goes_on_keeps_its_actors():
    learner = subprocess.Popen([sys.executable, "-c", LEARNER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        actors = [int(text) for text in learner.stdout.readline().split()]
        everyone = [learner.pid, *actors]
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(8.0)
        # The learner wakes first and finds that nobody has answered for longer than it bears.
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.3)
        assert learner.wait(timeout=HANG_SECONDS) == 0
        assert learner.stdout.read().strip() == "done"
    finally:
        learner.kill()
        learner.wait()
        learner.stdout.close()
