"""The bench: what it counts, what it concludes, and that nothing measured is ever lost."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
import yaml

from rl_speed.bench import contestants, session
from rl_speed.bench.contestants import Contestant, measured_config
from rl_speed.bench.measure import sampler as sampler_module
from rl_speed.bench.measure.child import measure_env, measure_play, measure_train, saved_bytes
from rl_speed.bench.measure.curve import thin
from rl_speed.bench.measure.runner import run_child
from rl_speed.bench.measure.sampler import GpuSampler, ProcessSampler
from rl_speed.bench.measure.window import MeasureWindow, fill, watch_parent
from rl_speed.bench.model import answers, diagnosis, rows
from rl_speed.bench.session import Session, Settings
from rl_speed.bench.show import history, report
from rl_speed.bench.show.page import figures, page
from rl_speed.config import load_config
from rl_speed.experience.replay import Replay, ReplaySettings
from rl_speed.records import Rollout
from rl_speed.system.errors import UserError
from rl_speed.system.stage_timer import StageTimer
from tests.test_cli import call, command, here  # noqa: F401  (a fixture)

CALIBRATION = {"bf16_factor": 2.0, "thread_factor": 2.0, "env_seconds": {"classic": 0.001, "ale_vector": 0.0005}}
SHARES = {"act": 0.05, "env": 0.05, "wait": 0.0, "replay": 0.05, "transfer": 0.0, "update": 0.8, "other": 0.05}


def result(env_steps_per_second, seconds=10.0, batch_size=32, per_update=1.0, **changes):
    found = {
        "window": [100.0, 100.0 + seconds],
        "seconds": seconds,
        "env_steps": env_steps_per_second * seconds,
        "gradient_steps": env_steps_per_second * seconds / per_update,
        "batch_size": batch_size,
        "frame_skip": 4,
        "time_shares": SHARES,
        "actor_time_shares": {},
        "saved_for_backward_bytes": {"act": 0, "update": 10_000_000},
        "cpu_percent": 90.0,
        "gpu_percent": None,
        "peak_memory_bytes": 10**9,
        "gpu_memory_bytes": None,
        "startup_seconds": 1.0,
        "prefill": {"seconds": 2.0, "env_steps": 1000, "speed": 500.0},
        "warmup_seconds": 2.0,
    }
    return found | changes


def noted(name, repeat, speed, group="ladder", **changes):
    return {"name": name, "group": group, "repeat": repeat, "result": result(speed, **changes)}


def described(*names, group="ladder"):
    return [{"name": name, "group": group, "point": {}, "about": "", "package": None} for name in names]


# --- rows -----------------------------------------------------------------------------------------------------------


def test_a_rows_numbers():
    found = rows.make_rows(
        described("baseline", "fast"),
        [
            noted("baseline", 0, 40), noted("fast", 0, 800, batch_size=128, per_update=20),
            noted("baseline", 1, 20), noted("fast", 1, 400, batch_size=128, per_update=20),
            noted("baseline", 2, 30), noted("fast", 2, 660, batch_size=128, per_update=20),
        ],
    )  # fmt: skip
    fast = found[1]
    assert fast["env_steps_per_second"] == {"median": 660, "min": 400, "max": 800}
    assert fast["frames_per_second"] == 4 * 660
    assert fast["gradient_steps_per_second"] == 33
    assert fast["samples_per_second"] == 33 * 128
    # Within a repeat: 20, 20 and 22; the ratio of the medians would be 22.
    assert fast["ratio_to_baseline"] == 20
    assert found[0]["ratio_to_baseline"] == 1
    assert rows.stage_milliseconds(found[0])["update"] == pytest.approx(0.8 * 1000 / 30)


def test_a_failed_contestant_keeps_its_row():
    failed = {"name": "bad", "group": "ladder", "repeat": 0, "error": "broke"}
    found = rows.make_rows(described("baseline", "bad"), [noted("baseline", 0, 40), failed])
    assert found[1]["env_steps_per_second"] is None
    assert found[1]["error"] == "broke"
    assert rows.find(found, "bad") is None


def test_games_alone_have_no_ratio_and_no_samples():
    measurements = [noted("baseline", 0, 40), noted("x", 0, 4000, group="env_only", batch_size=None)]
    found = rows.make_rows(described("baseline") + described("x", group="env_only"), measurements)
    assert found[1]["ratio_to_baseline"] is None
    assert found[1]["samples_per_second"] is None


# --- the measured process -------------------------------------------------------------------------------------------


def test_saved_bytes_counts_what_backward_needs():
    weight = torch.ones(10, 10, requires_grad=True)
    image = torch.ones(5, 10)

    def function():
        return (image @ weight).exp()  # keeps the image for the weight, and the result of exp

    assert saved_bytes(function) == 4 * (50 + 50)
    with torch.no_grad():
        assert saved_bytes(function) == 0


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


TINY_RUN = {
    "extends": "smoke",
    "envs": {"count": 2, "image_height": 20, "image_width": 20},
    "network": {"channels": [4], "kernels": [4], "strides": [4], "hidden": 8},
    "update": {"batch_size": 8, "threads": 1},
    "stop": {"max_env_steps": None, "confirm_episodes": 0},
    "trainer": {"accelerator": "cpu"},
}


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY_RUN))
    return str(path)


def test_a_train_window_counts_only_itself(tiny, tmp_path):
    config = measured_config(Contestant("tiny", "ladder", "train", tiny))
    threads = torch.get_num_threads()
    before = time.time()
    found = measure_train(config, "tiny", {"seconds": 0.4, "warmup_seconds": 0.2, "folder": str(tmp_path)})
    torch.set_num_threads(threads)
    assert 0.4 <= found["seconds"] < 10
    assert before < found["window"][0] < found["window"][1] <= time.time()
    ratio = config.update.env_steps_per_gradient_step
    assert found["env_steps"] == pytest.approx(found["gradient_steps"] * ratio, abs=2 * ratio + 2)
    assert found["prefill"]["env_steps"] >= config.replay.prefill_env_steps
    assert found["warmup_seconds"] >= 0.2
    assert sum(found["time_shares"].values()) == pytest.approx(1, abs=0.05)
    assert found["time_shares"]["update"] > 0.05
    assert found["saved_for_backward_bytes"]["act"] == 0
    assert found["saved_for_backward_bytes"]["update"] > 0


def test_slow_grads_keep_the_graphs_of_acting_and_target(tiny, tmp_path):
    config = measured_config(Contestant("tiny", "ladder", "train", tiny))
    slow = config.model_copy(update={"update": config.update.model_copy(update={"slow_grads": True})})
    threads = torch.get_num_threads()
    spec = {"seconds": 0.05, "warmup_seconds": 0.0, "folder": str(tmp_path)}
    kept = [measure_train(c, "tiny", spec)["saved_for_backward_bytes"] for c in (config, slow)]
    torch.set_num_threads(threads)
    assert kept[0]["act"] == 0 < kept[1]["act"]
    assert kept[1]["update"] > kept[0]["update"]


@pytest.mark.parametrize("kind", [measure_play, measure_env])
def test_playing_without_learning(tiny, kind):
    threads = torch.get_num_threads()
    config = measured_config(Contestant("tiny", "envs", "play", tiny))
    found = kind(config, {"seconds": 0.2, "warmup_seconds": 0.05})
    torch.set_num_threads(threads)
    assert found["env_steps"] > 0
    assert found["env_steps"] % config.envs.count == 0
    assert found["gradient_steps"] == 0


class Trainer:
    global_step = 0
    should_stop = False


def test_on_a_gpu_the_stages_are_timed_apart(monkeypatch):
    """The speed's window runs free; then every stage waits for the device, and the shares are of that."""
    from rl_speed.bench.measure import window as module

    now = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    monkeypatch.setattr(module, "fill", lambda replay: None)
    clock, trainer, waits = StageTimer(), Trainer(), []
    watched = MeasureWindow(lambda: 7 * trainer.global_step, None, clock, 0.0, 10.0, lambda phase: None,
                            lambda: waits.append(1))  # fmt: skip
    watched.on_train_start(trainer, None)
    watched.on_train_batch_start(trainer)
    while not trainer.should_stop:
        now[0] += 1.0
        clock.seconds["update"] += 0.5 if clock.synchronise is None else 0.9
        trainer.global_step += 1
        watched.on_train_batch_end(trainer)
    found = watched.result()
    assert (found["seconds"], found["env_steps"], found["gradient_steps"]) == (10.0, 70, 10)
    assert found["time_shares"]["update"] == pytest.approx(0.9)
    assert now[0] == pytest.approx(1000 + 1 + 10 + module.SHARES_SECONDS, abs=1.01)


def test_a_clock_that_waits_for_the_device_charges_the_stage():
    clock = StageTimer()
    clock.synchronise = lambda: time.sleep(0.02)
    with clock.measure("act"):
        pass
    assert clock.seconds["act"] >= 0.02


def test_the_child_leaves_when_its_parent_is_gone():
    read, write = os.pipe()
    left = []
    thread = watch_parent(lambda: os.read(read, 1), lambda: left.append(True))
    assert not left
    os.close(write)
    thread.join(5)
    os.close(read)
    assert left == [True]


def test_cpu_percent_is_of_the_window():
    sampler = ProcessSampler(os.getpid())
    sampler._times, sampler._cpu_seconds = [0.0, 10.0, 20.0], [0.0, 0.0, 15.0]
    assert sampler.cpu_percent(10.0, 20.0, cores=2) == pytest.approx(75)
    assert sampler.cpu_percent(12.0, 16.0, cores=2) == pytest.approx(75)
    assert sampler.cpu_percent(0.0, 20.0, cores=2) == pytest.approx(37.5)
    assert sampler.cpu_percent(5.0, 5.0, cores=2) is None


def test_the_sampler_sees_memory_and_time_of_children(monkeypatch):
    code = "x = bytearray(300_000_000)\nwhile True: pass"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"]
    )
    monkeypatch.setattr(sampler_module, "INTERVAL_SECONDS", 0.05)
    sampler = ProcessSampler(process.pid)
    sampler.start()
    try:
        deadline = time.time() + 20
        while sampler.peak_memory_bytes < 250_000_000 and time.time() < deadline:
            time.sleep(0.05)
        spent = sampler._cpu_seconds[-1]
    finally:
        for child in psutil.Process(process.pid).children():
            child.kill()
        process.wait()
        time.sleep(0.2)
        sampler.stop()
    assert sampler.peak_memory_bytes > 250_000_000
    assert spent > 0
    # What ended processes spent stays counted.
    assert sampler._cpu_seconds[-1] >= spent


# --- contestants ----------------------------------------------------------------------------------------------------


def everyone():
    sweeps = [contestants.envs_point(8, kind) for kind in ("train", "play")]
    sweeps += contestants.actors_points() + contestants.wrappers_points()
    return contestants.ladder(gpu=True) + sweeps + contestants.peers() + contestants.env_only()


def test_every_contestant_can_be_configured():
    found = everyone()
    assert len({(c.name, c.group) for c in found}) == len(found)
    for contestant in found:
        if contestant.kind == "script":
            assert (contestants.peers_directory() / contestant.script).is_file()
            continue
        config = measured_config(contestant)
        # Measured at the final epsilon: acting is free while actions are random.
        assert config.exploration.decay_env_steps == 1
        assert config.replay.prefill_env_steps <= max(20_000, 20 * config.total_envs)
    names = [c.name for c in contestants.ladder(gpu=False)]
    assert {"slow_grads", "baseline", "n_envs", "parallel", "actors", "fast_cpu"} <= set(names)
    assert "fast_gpu" not in names


def test_sweeps_keep_the_work_per_env_step():
    for point in [contestants.envs_point(8, "train"), *contestants.actors_points()[:7]]:
        config = measured_config(point)
        assert config.update.batch_size / config.update.env_steps_per_gradient_step == 32
        assert config.total_envs == config.update.env_steps_per_gradient_step


def test_a_file_named_as_a_preset_does_not_pass_for_it():
    assert contestants.rung("baseline").name == "baseline"
    assert contestants.rung("mine/other.yaml").name == "other"
    assert contestants.rung("mine/baseline.yaml").name == "mine/baseline.yaml"


def test_a_missing_peer_is_one_sentence():
    peer = Contestant("x", "peers", "script", needs="no_such_module_at_all")
    assert "no_such_module_at_all" in peer.missing()
    assert "pip install" in peer.missing()


# --- diagnosis and answers ------------------------------------------------------------------------------------------


def test_multiply_adds_of_the_papers_network():
    assert diagnosis.forward_macs(load_config("baseline")) == 3_276_800 + 2_654_208 + 1_806_336 + 3136 * 512


COST = {"act": 1.0, "env": 1.0, "wait": 0.0, "replay": 1.0, "transfer": 1.0, "update": 16.0, "other": 3.0}


def expected(preset, cores=2, *overrides):
    base = load_config("baseline")
    return diagnosis.expected_seconds(COST, base, load_config(preset, list(overrides)), CALIBRATION, cores)


def test_expectations_by_hand():
    assert expected("baseline")["total"] == pytest.approx(23)
    # Three envs share one call of the network and one batch of Lightning's.
    assert expected("n_envs")["total"] == pytest.approx(1 / 3 + 1 + 1 + 1 + 16 + 1)
    # Apart, the learner keeps both cores, and acting and games hide behind it.
    found = expected("parallel")
    assert found["learner"] == pytest.approx(16 + 1 + 1 + 3)
    assert found["player"] == pytest.approx(2)
    # On one core nothing hides: all the work adds up.
    assert expected("parallel", 1)["total"] == pytest.approx(23)
    # Games in C++ take half the time here and run beside the learner, but on one of its two cores.
    assert expected("baseline", 2, "envs.backend=ale_vector")["total"] == pytest.approx(1 + 32 + 1 + 1 + 3)


def test_a_cheaper_network_costs_by_its_multiply_adds():
    half = expected("baseline", 2, "update.batch_size=16")
    assert half["total"] == pytest.approx(1 + 1 + 0.5 + 0.5 + 8 + 3)
    assert expected("baseline", 2, "update.precision=bf16")["total"] == pytest.approx(7 + 8)


def measured_rows():
    speeds = {"baseline": 40.0, "n_envs": 42.0, "parallel": 41.0, "slow_grads": 38.0}
    found = rows.make_rows(
        described(*speeds),
        [noted(name, 0, value, per_update=1.0) for name, value in speeds.items()],
    )
    configs = {name: load_config(name).model_dump(mode="json") for name in speeds}
    return found, configs


def test_the_diagnosis_names_limit_help_and_error():
    found, configs = measured_rows()
    expectations = diagnosis.expect(found, configs, CALIBRATION, 2)
    assert {e["name"] for e in expectations} == {"n_envs", "parallel", "slow_grads"}
    for e in expectations:
        assert e["error_percent"] == pytest.approx(100 * (e["expected"] / e["measured"] - 1))
    text = diagnosis.paragraph(found, expectations, 2)
    assert "gradient steps with 80 % of the time" in text
    assert "1.25 times as fast at most" in text
    assert "`parallel` is x 1.02 on 2" in text
    assert "off by" in text
    assert "add it" in diagnosis.paragraph(found[1:], [], 2)


def test_where_more_envs_stop_paying():
    assert answers.stops_at([(1, 100.0), (2, 180.0), (4, 184.0), (8, 185.0)]) == 2
    assert answers.stops_at([(1, 100.0), (2, 101.0)]) == 1
    assert answers.stops_at([(1, 100.0), (2, 50.0), (4, 60.0)]) == 1
    assert answers.stops_at([(1, 100.0), (2, 101.0), (4, 200.0), (8, 400.0)]) == 8


def sweep_rows():
    speeds = {("train", 1): 40.0, ("train", 2): 44.0, ("train", 4): 44.5, ("play", 1): 500.0, ("play", 2): 990.0}
    chosen = [contestants.envs_point(count, kind) for kind, count in speeds]
    described_points = [
        {"name": c.name, "group": "envs", "point": c.point, "about": "", "package": None} for c in chosen
    ]
    measurements = [noted(c.name, 0, s, group="envs") for c, s in zip(chosen, speeds.values(), strict=True)]
    return rows.make_rows(described_points, measurements)


def test_answers_say_what_was_measured():
    found, _ = measured_rows()
    assert "x 0.95" in answers.autograd(found)
    text = answers.envs(sweep_rows())
    assert "Training: more envs pay up to 2, where it is x 1.10" in text
    assert "CPU 90 %" in text
    assert answers.envs([]) is None
    assert answers.wrappers([]) is None
    assert answers.actors([]) is None


def solve_run(seed, solved, seconds=300.0):
    clock = {"seconds": seconds, "env_steps": 1000, "gradient_steps": 10}
    return {
        "name": "fast_cpu", "seed": seed, "solved": solved, "seconds": seconds, "avg_reward": 19.6 if solved else 3.0,
        "clocks": dict.fromkeys(("mean100_18", "ema_17", "mean100_19_5"), clock if solved else None),
        "stop_reason": "solved" if solved else "max_seconds", "confirmation": None, "env_steps": 1000,
        "curve": [[1.0, 100, -21.0], [2.0, 200, -20.0]], "stop_reward": 19.5, "frame_skip": 4,
    }  # fmt: skip


def test_a_run_that_does_not_solve_is_reported_as_such():
    found, _ = measured_rows()
    text = answers.solved(found, [solve_run(0, True), solve_run(1, False, 900.0)])
    assert "solved with 1 of 2 seeds (0): median 5:00, 5:00 to 5:00. Fewer than 3 seeds" in text
    assert "seed 1 did not solve in 15:00: reached 3.00" in text
    assert "extrapolated, 900,000 env steps" in text
    assert f"x {900_000 / 40 / 300:.0f}:" in text
    assert "extrapolated" not in answers.solved(found, [solve_run(0, True)], "breakout")
    doubted = solve_run(0, True) | {"confirmation": {"mean": 18.9, "std": 1.0}}
    assert "does not bear the stop out" in answers.solved(found, [doubted])
    assert "does not bear" not in text


def test_thin_keeps_the_ends():
    points = [(float(i), i, 0.0) for i in range(10_000)]
    found = thin(points, 500)
    assert len(found) == 500
    assert (found[0], found[-1]) == (points[0], points[-1])
    assert thin(points[:10], 500) == points[:10]


# --- the session ----------------------------------------------------------------------------------------------------


def answering(speeds, asked):
    """Stands in for a measured process: a speed, None for a crash, or an exception to raise."""

    def answer(spec, log, limit_seconds, gpu, on_phase):
        asked.append(spec.get("name", spec["kind"]))
        if spec["kind"] == "calibrate":
            return dict(CALIBRATION)
        value = speeds.get(spec["name"], 10.0)
        if isinstance(value, BaseException):
            raise value
        return {"error": "broke (log: x)"} if value is None else result(value)

    return answer


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """A session whose measured processes answer at once with what `speeds` says; None is a crash."""
    speeds = {"baseline": 40.0, "smoke": 400.0}
    asked = []

    monkeypatch.setattr(session, "run_child", answering(speeds, asked))
    settings = Settings(1.0, 2, 0.1, (), "rl-speed bench")
    told = []
    made = Session(settings, tmp_path, told.append)
    yield dataclasses.make_dataclass("Quick", ["session", "speeds", "asked", "told"])(made, speeds, asked, told)
    made.close()


def test_repeats_are_interleaved_and_saved_at_once(quick, tmp_path):
    quick.session.interleave([contestants.rung("baseline"), contestants.rung("smoke")])
    assert quick.asked == ["baseline", "smoke", "smoke", "baseline"]  # the order turns, too
    content = json.loads((tmp_path / "bench.json").read_text())
    assert [row["ratio_to_baseline"] for row in content["rows"]] == [1, 10]
    assert content["is_whole"] is False
    assert {"machine", "versions", "commit", "rows", "diagnosis"} <= set(content)


def test_a_crash_is_told_once_and_the_others_go_on(quick):
    quick.speeds["smoke"] = None
    quick.session.interleave([contestants.rung("smoke"), contestants.rung("baseline")])
    assert quick.asked == ["smoke", "baseline", "baseline"]
    assert [text for text in quick.told if "broke" in text] == ["smoke failed: broke (log: x)"]
    assert [bool(row["error"]) for row in quick.session.content()["rows"]] == [True, False]


def test_the_sweep_over_envs_ends_when_doubling_stops_paying(quick):
    for count in (1, 2, 4, 8, 16, 32):
        quick.speeds[f"train, {count} envs"] = min(40.0 * count, 90.0)
        quick.speeds[f"play only, {count} envs"] = 100.0
    quick.session.sweep("envs")
    first = [name for name in quick.asked if name.startswith("train")]
    assert first[: len(first) // 2] == [f"train, {n} envs" for n in (1, 2, 4, 8, 16)]
    assert "play only, 8 envs" not in quick.asked


def test_a_full_disk_costs_no_measurement(quick, monkeypatch):
    def full(folder, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session, "write_json", full)
    quick.session.interleave([contestants.rung("baseline")])
    assert len(quick.session.measurements) == 2
    assert sum("cannot be written" in text for text in quick.told) == 1


def bench(here, monkeypatch, speeds, *arguments, cwd):  # noqa: F811
    monkeypatch.setattr(session, "run_child", answering(speeds, []))
    return here("bench", *arguments, cwd=cwd)


def test_an_unknown_rung_is_one_sentence_and_the_others_are_kept(here, monkeypatch, tmp_path):  # noqa: F811
    answer = bench(here, monkeypatch, {}, "baselin", "baseline", "--out", "r", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stdout.count("did you mean baseline?") == 1
    names = [row["name"] for row in json.loads((tmp_path / "r/bench.json").read_text())["rows"]]
    assert names == ["baseline"]
    assert bench(here, monkeypatch, {}, "nope", cwd=tmp_path).returncode == 2


def test_a_crashed_rung_leaves_a_whole_report(here, monkeypatch, tmp_path):  # noqa: F811
    speeds = {"smoke": None}
    answer = bench(here, monkeypatch, speeds, "smoke", "baseline", "--out", "r", cwd=tmp_path)
    assert answer.returncode == 1
    assert "smoke failed: broke" in answer.stdout
    for name in ("bench.json", "bench.csv", "bench.md", "bench.html"):
        assert (tmp_path / "r" / name).stat().st_size > 100
    assert "baseline" in (tmp_path / "r/bench.csv").read_text()


def test_ctrl_c_keeps_what_was_measured(here, monkeypatch, tmp_path):  # noqa: F811
    speeds = {"smoke": KeyboardInterrupt()}
    answer = bench(here, monkeypatch, speeds, "baseline", "smoke", "--out", "r", cwd=tmp_path)
    assert answer.returncode == 130
    content = json.loads((tmp_path / "r/bench.json").read_text())
    assert [row["name"] for row in content["rows"]] == ["baseline"]
    assert content["is_whole"] is False
    assert (tmp_path / "r/bench.html").exists()


def test_a_peer_that_is_not_installed_is_one_sentence(here, monkeypatch, tmp_path):  # noqa: F811
    found = importlib.util.find_spec
    monkeypatch.setattr(
        contestants.importlib.util, "find_spec", lambda name: None if name == "stable_baselines3" else found(name)
    )
    answer = bench(here, monkeypatch, {}, "baseline", "--peers", "--repeats", "1", "--out", "r", cwd=tmp_path)
    assert answer.returncode == 0
    assert answer.stdout.count("sb3 needs the package stable_baselines3, which is not installed") >= 1
    assert "make peers" in answer.stdout
    content = json.loads((tmp_path / "r/bench.json").read_text())
    assert any(row["name"] == "single_file" and row["env_steps_per_second"] for row in content["rows"])


def test_a_folder_that_becomes_unwritable_costs_nothing(quick, monkeypatch, tmp_path):
    quick.session.interleave([contestants.rung("baseline")])
    taken = tmp_path / "taken"
    taken.write_text("")
    target = report.write_report(taken, quick.session.content())
    assert target != taken
    assert (target / "bench.html").exists()


BAD_INPUT = [
    (["bench", "baseline", "--out", "/proc/none"], ["--out /proc/none", "another folder"]),
    (["bench", "--sweep", "nets"], ["--sweep nets", "envs, actors, wrappers"]),
    (["bench", "--peers", "--set", "envs.game=breakout"], ["--peers", "envs.game = breakout"]),
    (["bench", "report", "nowhere"], ["nowhere", "folder of a bench"]),
    (["bench", "compare", "1", "2"], ["holds no record", "bench stages"]),
    (["bench", "stages", "--config", "nope"], ["'nope'"]),
    (["bench", "stages", "--history", "/proc/none/x"], ["/proc/none/x", "another file"]),
]


@pytest.mark.parametrize(("arguments", "parts"), BAD_INPUT, ids=range(len(BAD_INPUT)))
def test_bad_input_gets_one_sentence(tmp_path, here, arguments, parts):  # noqa: F811
    answer = here(*arguments, cwd=tmp_path)
    assert answer.returncode == 2
    for part in parts:
        assert part in answer.stderr.strip().splitlines()[-1]


# --- report ---------------------------------------------------------------------------------------------------------


def whole_content(quick):
    """A bench with something in every group."""
    ladder = [contestants.rung(name) for name in ("baseline", "n_envs", "smoke")]
    quick.session.interleave([*ladder, *contestants.peers(), *contestants.env_only()])
    for name in contestants.SWEEPS:
        quick.session.sweep(name)
    quick.session.calibrate()
    quick.session.solve_runs = [solve_run(0, True), solve_run(1, False)]
    quick.session.is_whole = True
    return quick.session.content()


def test_reports_hold_every_row(quick, tmp_path):
    content = whole_content(quick)
    target = report.write_report(tmp_path, content)
    assert report.read_report(target)["rows"] == json.loads(json.dumps(content["rows"]))
    markdown, page_text = (target / "bench.md").read_text(), (target / "bench.html").read_text()
    for row in content["rows"]:
        assert row["name"] in markdown
        assert row["name"] in page_text
    lines = (target / "bench.csv").read_text().splitlines()
    assert len(lines) == 1 + len(content["rows"])
    assert "stable-baselines3" in markdown or importlib.util.find_spec("stable_baselines3") is None
    assert "did not solve" in markdown


def test_the_page_needs_no_network(quick):
    text = page(whole_content(quick))
    assert 'src="http' not in text
    assert "<link" not in text


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_every_plot_shows_in_a_browser(quick, tmp_path):
    content = whole_content(quick)
    target = report.write_report(tmp_path, content)
    probe = (
        "<script>window.onerror = m => document.title = 'FAILED ' + m;"
        "setTimeout(() => { const n = [...document.querySelectorAll('.js-plotly-plot')].map(p =>"
        "p.querySelectorAll('.trace path, .point path, .lines path').length); document.title = 'PLOTS ' + n; }, 1500);"
        "</script></body>"
    )
    path = target / "probe.html"
    path.write_text((target / "bench.html").read_text().replace("</body>", probe))
    answer = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000", "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = answer.stdout.partition("<title>")[2].partition("</title>")[0]
    assert title.startswith("PLOTS ")
    counts = [int(count) for count in title.removeprefix("PLOTS ").split(",")]
    assert len(counts) == len(figures(content)) == 10
    assert min(counts) > 0


# --- stages and history ---------------------------------------------------------------------------------------------


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


@pytest.mark.slow
def test_stages_are_measured_and_compared(tiny, tmp_path):
    for _ in range(2):
        answer = call("bench", "stages", "--config", tiny, "--seconds", "0.05", "--repeats", "2", cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
    records = history.read_history(tmp_path / "bench_results" / "stages.jsonl")
    assert list(records[0]["stages"]) == ["env step", "act", "append", "sample", "update", "end to end"]
    assert all(stage["median"] > 0 for stage in records[0]["stages"].values())
    answer = call("bench", "compare", "previous", "last", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "end to end" in answer.stdout


# --- real processes -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_bench_from_end_to_end(tiny, tmp_path):
    arguments = ["--seconds-per-rung", "1", "--repeats", "2", "--warmup-seconds", "0.5", "--out", "r"]
    solve = ["--to-solve", "--seeds", "1", "--solve-minutes", "0.1"]
    answer = call("bench", "smoke", tiny, *arguments, *solve, cwd=tmp_path, timeout=240)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    content = json.loads((tmp_path / "r/bench.json").read_text())
    assert content["is_whole"]
    assert [row["repeats"] for row in content["rows"]] == [2, 2]
    for row in content["rows"]:
        assert row["env_steps_per_second"]["min"] > 0
        assert row["cpu_percent"] > 10
        assert row["peak_memory_bytes"] > 100_000_000
    assert {run["name"] for run in content["solve"]} == {"smoke", "tiny"}
    assert not any(run["solved"] for run in content["solve"])
    assert "did not solve" in answer.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_bench_leaves_no_processes(tiny, tmp_path, number):
    process = subprocess.Popen(
        command("bench", tiny, "--seconds-per-rung", "60", "--repeats", "1", "--out", "r"),
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    children = []
    while not children and time.monotonic() < deadline:
        time.sleep(0.2)
        children = psutil.Process(process.pid).children(recursive=True)
    time.sleep(3)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in output
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


@pytest.mark.slow
def test_a_child_that_dies_or_hangs_is_an_error(tmp_path):
    gpu = GpuSampler()
    phases = []
    dead = run_child({"kind": "nonsense", "overrides": []}, tmp_path / "log", 60.0, gpu, phases.append)
    assert "KeyError" in dead["error"]
    assert "Traceback" in (tmp_path / "log").read_text()
    spec = {"kind": "script", "script": "env_only.py", "arguments": ["--engine", "ale_vector"]}
    late = run_child(
        {**spec, "seconds": 100.0, "warmup_seconds": 0.0}, tmp_path / "log", 6.0, gpu, phases.append
    )  # fmt: skip
    assert "did not finish within 6 s" in late["error"]
    gpu.close()


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
