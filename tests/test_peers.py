"""Other people's programs that the bench measures beside us, in processes of their own."""

from contextlib import closing

import pytest

from rl_speed.bench.measure.runner import run_child
from rl_speed.bench.measure.sampler import GpuSampler
from tests.command_line import HANG_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["single_file_dqn.py", "--buffer-size", "2000"],  # else 6 GB
        ["env_only.py", "--engine", "gymnasium_sync", "--num-envs", "2"],
        ["env_only.py", "--engine", "gymnasium_async", "--num-envs", "2"],
        ["env_only.py", "--engine", "ale_vector", "--num-envs", "2"],
        ["env_only.py", "--engine", "envpool", "--num-envs", "2"],
        ["sb3_dqn.py", "--buffer-size", "2000"],
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_peers_run(arguments, tmp_path):
    needs = {"envpool": "envpool", "sb3_dqn.py": "stable_baselines3"}
    for name in arguments:
        if name in needs:
            pytest.importorskip(needs[name])
    spec = {"kind": "script", "script": arguments[0], "arguments": arguments[1:], "seconds": 0.5, "warmup_seconds": 0.2}
    with closing(GpuSampler()) as gpu:
        found = run_child(spec, tmp_path / "log", HANG_SECONDS, gpu, lambda phase: None)
    assert "error" not in found, (tmp_path / "log").read_text()
    assert found["env_steps"] > 0
