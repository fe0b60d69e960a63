"""`emulator` on the command line."""

import json

import pytest
from typer.testing import CliRunner

from rl_speed.cli import app
from rl_speed.emulator import nvidia
from rl_speed.emulator.nvidia import KernelReport
from rl_speed.system.errors import UserError


def test_verify_command():
    result = CliRunner().invoke(app, ["emulator", "verify", "pong", "--frames", "100", "--interpret"])
    assert result.exit_code == 0
    assert "pong: equal over 100 frames and 0 game ends" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "pong", "--all"],
        ["verify", "pongg"],
        ["bench", "pong", "--num-envs", "x"],
        ["bench", "pong", "--all"],
        ["bench", "--all", "--device", "cuda"],
    ],
)
def test_commands_refuse_what_they_cannot_do(arguments):
    assert isinstance(CliRunner().invoke(app, ["emulator", *arguments]).exception, UserError)


@pytest.mark.slow
def test_bench_command(tmp_path):
    path = tmp_path / "bench.json"
    arguments = ["--num-envs", "2", "--seconds", "0.1", "--repeats", "1", "--json", str(path)]
    assert CliRunner().invoke(app, ["emulator", "bench", "pong", *arguments]).exit_code == 0
    rows = json.loads(path.read_text())["rows"]
    assert {row["engine"] for row in rows} >= {"native-cpu", "ale-vector"}
    assert all(row["frames_per_second"] == pytest.approx(4 * row["env_steps_per_second"]) for row in rows)


def test_the_command_lists_kernels(monkeypatch):
    report = [KernelReport("run_consoles", 128, 1400, 0), KernelReport("make_frames", 40, 0, 0)]
    monkeypatch.setattr(nvidia, "compile_cubin", lambda generated, defines, architecture: (b"", report))
    result = CliRunner().invoke(app, ["emulator", "kernels", "pong", "--architecture", "sm_90"])
    assert result.exit_code == 0
    assert result.output.count("run_consoles") == 4
    assert "1,400 B" in result.output
