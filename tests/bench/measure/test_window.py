"""When the window opens and closes, what it counts, and the ring that is filled before."""

import pytest
import torch

from rl_speed.bench.measure.window import MeasureWindow, fill
from rl_speed.experience.replay import Replay, ReplaySettings
from rl_speed.records import Rollout
from rl_speed.system.stage_timer import StageTimer


def test_fill_repeats_what_is_stored():
    replay = Replay(10, 2, 4, 4, ReplaySettings(frame_stack=1, n_step=1, gamma=0.9), seed=0)
    rollout = Rollout(
        frame=torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(4, 2, 4, 4).clone(),
        is_first=torch.zeros(4, 2, dtype=torch.bool),
        action=torch.zeros(4, 2, dtype=torch.int64),
        reward=torch.zeros(4, 2),
        terminated=torch.zeros(4, 2, dtype=torch.bool),
        truncated=torch.zeros(4, 2, dtype=torch.bool),
        episode_ends=(),
        env_steps=8,
    )
    replay.append(rollout)
    fill(replay)
    assert replay.rows_written >= replay.steps
    ring = replay.state_dict()["ring"]
    assert sorted(set(ring["frame"][:, 0, 0, 0].tolist())) == [0, 1, 2, 3]
    # Copies do not continue each other: their last rows are cut.
    assert bool(ring["truncated"][3].all())


class Trainer:
    global_step = 0


def test_on_a_gpu_the_stages_are_timed_apart(monkeypatch):
    """The speed's window runs free; then every stage waits for the device, and the shares are of that."""
    from rl_speed.bench.measure import window as module

    now = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    monkeypatch.setattr(module, "fill", lambda replay: None)
    clock, trainer, waits = StageTimer(), Trainer(), []
    ends = []
    watched = MeasureWindow(lambda: 7 * trainer.global_step, None, clock, 0.0, 10.0, lambda phase: None,
                            lambda: ends.append(now[0]), lambda: waits.append(1), created=990.0)  # fmt: skip
    watched.on_train_start(trainer, None)
    watched.on_train_batch_start(trainer)
    while not ends:
        now[0] += 1.0
        clock.seconds["update"] += 0.5 if clock.synchronise is None else 0.9
        trainer.global_step += 1
        watched.on_train_batch_end(trainer)
    result = watched.result()
    assert result["startup_seconds"] == 10.0
    assert (result["seconds"], result["env_steps"], result["gradient_steps"]) == (10.0, 70, 10)
    assert result["time_shares"]["update"] == pytest.approx(0.9)
    assert now[0] == pytest.approx(1000 + 1 + 10 + module.SHARES_SECONDS, abs=1.01)
    watched.on_train_batch_end(trainer)  # ranks take some batches more until all have heard of it
    assert (len(ends), watched.result()) == (1, result)
