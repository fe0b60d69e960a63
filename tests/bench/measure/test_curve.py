"""The curve of a run to the goal."""

import io
import json

import pytest
from rich.console import Console

from rl_speed.bench.measure import curve
from rl_speed.bench.measure.curve import thin
from rl_speed.config import load_config
from rl_speed.system.errors import CheckpointError
from rl_speed.training.fit import Outcome


def test_thin_keeps_the_ends():
    points = [(float(i), i, 0.0) for i in range(10_000)]
    thinned = thin(points, 500)
    assert len(thinned) == 500
    assert (thinned[0], thinned[-1]) == (points[0], points[-1])
    assert thin(points[:10], 500) == points[:10]


@pytest.mark.parametrize("failed", [None, [{"episodes": 30, "mean": 18.9, "std": 1.0, "min": 8.0, "max": 21.0}]])
def test_confirmations_that_failed_are_kept(monkeypatch, tmp_path, failed):
    counts = dict.fromkeys(("seconds", "env_steps", "gradient_steps", "episodes", "seed"), 1)
    result = {
        **counts, "solved": False, "stop_reason": "max_seconds", "avg_reward": None, "clocks": {}, "confirmation": None,
        "env_steps_per_second": {}, "plan": {}, "config": {},
    }  # fmt: skip
    if failed is not None:
        result["failed_confirmations"] = failed
    asked = {}
    monkeypatch.setattr(curve, "fit", lambda *arguments, **named: asked.update(named) or Outcome(result, tmp_path))
    run = curve.run_with_curve(load_config("smoke"), "smoke", None, lambda phase: None, started=12.0)
    assert asked == {"started": 12.0}
    assert run["failed_confirmations"] == (failed or [])
    assert (run["avg_reward"], run["curve"], run["preset"]) == (None, [], "smoke")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_full_disk_costs_the_checkpoint_and_not_the_run(is_there, monkeypatch, tmp_path):
    names = (
        "solved", "stop_reason", "seconds", "env_steps", "gradient_steps", "episodes", "avg_reward", "clocks",
        "confirmation", "seed", "env_steps_per_second", "plan",
    )  # fmt: skip

    def fit(*_, **__):
        if is_there:
            (tmp_path / "version_0").mkdir()
            (tmp_path / "version_0" / "result.json").write_text(json.dumps(dict.fromkeys(names, 7)))
        raise CheckpointError("no space left")

    monkeypatch.setattr(curve, "fit", fit)
    config, said = load_config("smoke", [f"logging.directory={tmp_path}"]), io.StringIO()
    if not is_there:
        with pytest.raises(CheckpointError):
            curve.run_with_curve(config, "smoke", Console(file=said), lambda phase: None)
        return
    assert curve.run_with_curve(config, "smoke", Console(file=said), lambda phase: None)["solved"] == 7
    assert "no space left" in said.getvalue()
