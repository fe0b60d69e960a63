"""Measured processes that fail."""

import pytest

from rl_speed.bench.measure.runner import run_child
from rl_speed.bench.measure.sampler import GpuSampler


@pytest.mark.slow
def test_a_child_that_dies_or_hangs_is_an_error(tmp_path):
    gpu = GpuSampler()
    phases = []
    dead = run_child({"kind": "nonsense"}, tmp_path / "log", 60.0, gpu, phases.append)
    assert "KeyError" in dead["error"]
    assert "Traceback" in (tmp_path / "log").read_text()
    spec = {"kind": "script", "script": "env_only.py", "arguments": ["--engine", "ale_vector"]}
    late = run_child(
        {**spec, "seconds": 100.0, "warmup_seconds": 0.0}, tmp_path / "log", 6.0, gpu, phases.append
    )  # fmt: skip
    assert "did not finish within 6 s" in late["error"]
    gpu.close()
