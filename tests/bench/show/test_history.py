"""Records of stages, found and compared."""

import pytest

from rl_speed.bench.show import history
from rl_speed.system.errors import UserError


def record(commit, env, update):
    stages = {
        "env step": {"unit": "us per env step", "median": env, "min": env * 0.95, "max": env * 1.05},
        "end to end": {"unit": "env steps/s", "median": update, "min": update * 0.95, "max": update * 1.05},
    }
    return {"commit": commit, "date": "2026-01-01", "preset": "x", "stages": stages}


def test_records_are_found_and_compared(tmp_path):
    path = tmp_path / "deep" / "stages.jsonl"
    assert history.append(path, record("aaaaaaaaa", 100.0, 50.0)) == 1
    assert history.append(path, record("bbbbbbbbb", 50.0, 51.0)) == 2
    records = history.read_history(path)
    first, second = history.find_record(records, "previous"), history.find_record(records, "bbbb")
    assert (first["number"], second["number"]) == (1, 2)
    assert history.find_record(records, "2") == history.find_record(records, "last")
    with pytest.raises(UserError, match="3"):
        history.find_record(records, "3")
    table = history.compare_table(first, second)
    assert list(table.columns[4].cells) == ["2.00", "1.02"]
    assert list(table.columns[5].cells) == ["faster", "within the spread"]
    path.write_text("nonsense\n")
    with pytest.raises(UserError, match="cannot be read"):
        history.read_history(path)
