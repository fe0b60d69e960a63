"""Each stage of the line alone, measured and compared."""

import pytest

from rl_speed.bench.show import history
from tests.command_line import call


@pytest.mark.slow
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
