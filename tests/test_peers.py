"""Other people's programs that the bench measures beside us, in processes of their own."""

import pytest

from rl_speed.bench.measure.runner import run_child
from rl_speed.bench.measure.sampler import GpuSampler


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["single_file_dqn.py"],
        ["env_only.py", "--engine", "gymnasium_sync", "--num-envs", "2"],
        ["env_only.py", "--engine", "gymnasium_async", "--num-envs", "2"],
        ["env_only.py", "--engine", "ale_vector", "--num-envs", "2"],
        ["env_only.py", "--engine", "envpool", "--num-envs", "2"],
        ["sb3_dqn.py"],
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_peers_run(arguments, tmp_path):
    needs = {"envpool": "envpool", "sb3_dqn.py": "stable_baselines3"}
    for name in arguments:
        if name in needs:
            pytest.importorskip(needs[name])
    spec = {"kind": "script", "script": arguments[0], "arguments": arguments[1:], "seconds": 0.5, "warmup_seconds": 0.2}
    found = run_child(spec, tmp_path / "log", 120.0, GpuSampler(), lambda phase: None)
    assert "error" not in found, (tmp_path / "log").read_text()
    assert found["env_steps"] > 0
