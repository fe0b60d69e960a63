"""Each stage of the line alone, measured and compared."""

import threading

import pytest
import torch

from rl_speed.bench.measure import stages
from rl_speed.bench.show import history
from rl_speed.config import load_config
from rl_speed.learner.gradient import Gradient
from rl_speed.training import decisions
from rl_speed.training.probe import Probe, Variant
from tests.command_line import call


@pytest.mark.parametrize("shards", [1, "auto"])
def test_the_update_that_is_timed_is_that_of_training(tiny_file, tmp_path, monkeypatch, shards):
    """In the parts of the run's plan, on a thread each, with a step of the optimizer after every gradient."""
    parts, optimizer_steps, timed = [], [], []
    one_part, one_step = Gradient._part, torch.optim.Adam.step

    def part(self, batch, parameters):
        parts.append((batch.action.shape[0], threading.current_thread().name))
        return one_part(self, batch, parameters)

    def step(self, closure=None):
        optimizer_steps.append([p.grad is not None for group in self.param_groups for p in group["params"]])
        return one_step(self, closure)

    def one_call(function, seconds, wait):
        before = len(parts)
        function()
        timed.append(parts[before:])
        return 1.0

    # Asked a second time, the probe would choose otherwise: what counts is the plan of the run as it is.
    answers = iter([2, 1, 1])

    def probe(config, parts, threads):
        return Probe(Variant("fp32", False, next(answers)), {}, 0.1), False

    monkeypatch.setattr(decisions, "kept_probe", probe)
    monkeypatch.setattr(Gradient, "_part", part)
    monkeypatch.setattr(torch.optim.Adam, "step", step)
    monkeypatch.setattr(stages, "_seconds_per_call", one_call)
    monkeypatch.setattr(stages, "_end_to_end", lambda *arguments: {"unit": "env steps/s", "median": 1.0})
    config = load_config(tiny_file, [f"update.shards={shards}"])
    record = stages.measure_stages(config, "tiny", 0.01, 1, tmp_path / "log")
    shards = 2 if shards == "auto" else shards
    assert record["plan"]["decisions"]["update.shards"]["value"] == shards
    *others, update = timed  # env step, act, append, sample, update
    assert others == [[]] * 4
    assert [size for size, _ in update] == [config.update.batch_size // shards] * shards
    assert len({thread for _, thread in update}) == shards
    assert len(optimizer_steps) == 1
    assert all(optimizer_steps[0])
    assert record["stages"]["update"]["median"] == 1e3  # one call is one gradient step


@pytest.mark.slow
@pytest.mark.exhaustive  # the README's commands measure and compare, too
def test_stages_are_measured_and_compared(tiny_file, tmp_path):
    for _ in range(2):
        answer = call("bench", "stages", "--config", tiny_file, "--seconds", "0.05", "--repeats", "2", cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
    records = history.read_history(tmp_path / "bench_results" / "stages.jsonl")
    assert list(records[0]["stages"]) == ["env step", "act", "append", "sample", "update", "end to end"]
    assert all(stage["median"] > 0 for stage in records[0]["stages"].values())
    answer = call("bench", "compare", "previous", "last", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "end to end" in answer.stdout
