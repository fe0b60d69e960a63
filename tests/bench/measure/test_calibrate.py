"""What the expectations are made from, measured alone."""

import pytest
import torch

from rl_speed.bench.measure import calibrate as module
from rl_speed.system.code_cache import NativeCodeError


def test_the_shortest_call_counts_and_the_first_does_not(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    lengths = iter([0.01, 3.0, 1.0, 2.0, 9.0, 9.0])  # the first one prepares

    def work():
        now[0] += next(lengths)

    assert module._best_seconds(work, 6.5) == pytest.approx(1.0)


def test_factors_are_speeds_over_the_plain_way_and_a_backend_that_cannot_run_is_left_out(monkeypatch):
    make_env = module.make_env

    def without_native(config, *arguments):
        if config.backend == "native":
            raise NativeCodeError("no compiler")
        return make_env(config, *arguments)

    def seconds(config, precision, threads, duration):
        return {("fp32", 1): 6.0, ("bf16", 1): 2.0}.get((precision, threads), 4.0)

    monkeypatch.setattr(module, "make_env", without_native)
    monkeypatch.setattr(module, "_update", seconds)
    monkeypatch.setattr(module, "usable_cores", lambda: type("Cores", (), {"count": 2}))
    measured = module.calibrate(0.01)
    assert measured["bf16_factor"] == 3.0
    assert measured["thread_factor"] == 1.5
    assert set(measured["env_seconds"]) == {"classic", "ale_vector"}
    assert all(0 < value < 1 for value in measured["env_seconds"].values())


def test_a_gradient_is_timed_on_as_many_threads_as_asked(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "_best_seconds", lambda function, seconds: seen.append(torch.get_num_threads()) or 1.0)
    config = module.load_config("baseline")
    before = torch.get_num_threads()
    for threads in (1, 2):
        module._update(config, "fp32", threads, 0.01)
    assert seen == [1, 2]
    assert torch.get_num_threads() == before
