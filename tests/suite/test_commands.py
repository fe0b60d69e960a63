"""`suite` on the command line: bad input, the report alone, and a suite that is killed at many moments."""

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress

import psutil
import pytest

from rl_speed.suite.folder import RunKey, locked
from tests.command_line import HANG_SECONDS, call, command, heed_signals
from tests.suite.made_up import made_up_suite, plan_for, write_failure

# Games long enough that returns differ, on one core each: what such a run computes is the same every time.
TINY = """
extends: smoke
envs: {backend: classic, count: 2, max_episode_frames: 1200, image_height: 20, image_width: 20, noop_max: 10}
replay: {capacity_env_steps: 2000, prefill_env_steps: 100}
network: {channels: [4], kernels: [4], strides: [4], hidden: 8}
update: {env_steps_per_gradient_step: 4, batch_size: 8, threads: 1}
checkpoint: {every_seconds: 0.2}
"""

NEW = ["--games", "pong", "--preset", "smoke", "--env-steps", "6000"]

BAD_INPUT = [
    (["--out", "s"], ["--games is missing"]),
    (["--out", "s", *NEW, "--games", "pongg"], ["did you mean pong"]),
    (["--out", "s", *NEW, "--preset", "smokee"], ["did you mean smoke"]),
    (["--out", "s", *NEW, "--at-once", "0"], ["--at-once '0'", "auto"]),
    (["--out", "s", *NEW, "--max-time", "1h"], ["--max-time '1h'", "HH:MM:SS"]),
    (["--out", "s", *NEW, "--set", "update.batch_size=-1"], ["update.batch_size"]),
    (["--out", "s", *NEW, "--env-steps", "10"], ["stop.max_env_steps = 10"]),
    (["--out", "/proc/none", *NEW], ["--out /proc/none", "another folder"]),
    (["--out", "s", *NEW, "--address", "127.0.0.1:1"], ["--address 127.0.0.1:1"]),
    (["--out", "s", *NEW, "--address", "192.0.2.1"], ["--address 192.0.2.1 must be the head's host:port"]),
    (["--out", "s", *NEW, "--address", "ray://head:10001"], ["--address ray://head:10001", "head:6379"]),
    (["--out", "s", "--report-only"], ["holds no suite"]),
    (["--out", "s", "--report-only", *NEW, "--at-once", "2"], ["leave out --games, --preset, --env-steps, --at-once"]),
    (["--out", "s", "--report-only", "--set", "envs.noop_max=3", "--max-time", "0:01:00"], ["--max-time, --set"]),
]


@pytest.mark.parametrize(("arguments", "parts"), BAD_INPUT, ids=range(len(BAD_INPUT)))
def test_bad_input_gets_one_sentence(tmp_path, here, arguments, parts):
    answer = here("suite", *arguments, cwd=tmp_path)
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    for part in parts:
        assert part in answer.stderr.strip().splitlines()[-1]


def test_what_contradicts_leaves_the_suite_as_it_was(tmp_path, here):
    out = made_up_suite(tmp_path / "s", plan_for("pong", 2, ("smoke",)))
    before = (out / "suite.json").read_text()
    answer = here("suite", "--out", "s", "--env-steps", "5", cwd=tmp_path)
    assert answer.returncode == 2
    assert "contradicts this suite" in answer.stderr
    assert (out / "suite.json").read_text() == before


def test_a_finished_suite_is_only_reported(tmp_path, here):
    out = made_up_suite(tmp_path / "s", plan_for("pong,breakout", 2, ("smoke",)))
    for arguments in ([], ["--report-only"]):
        answer = here("suite", "--out", "s", *arguments, cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
        assert "4 finished, 0 failed, 0 missing" in answer.stdout
        assert answer.stdout.rstrip().endswith("report.html")
        (out / "report.html").unlink()


def test_the_report_of_an_unfinished_suite_can_be_had_while_it_runs(tmp_path, here):
    plan = plan_for("pong", 2, ("smoke",))
    out = made_up_suite(tmp_path / "s", plan, leave_out=[RunKey(1, "pong", "smoke")])
    write_failure(out, RunKey(1, "pong", "smoke"), "it broke")
    with locked(out):
        answer = here("suite", "--out", "s", "--report-only", cwd=tmp_path)
        assert answer.returncode == 0
        assert "it broke" in answer.stdout
        answer = here("suite", "--out", "s", cwd=tmp_path)
        assert answer.returncode == 2
        assert "in use by another" in answer.stderr


def test_what_another_suite_has_added_meanwhile_stays(tmp_path, here, monkeypatch):
    out = made_up_suite(tmp_path / "s", plan_for("pong", 1, ("smoke",)))

    @contextmanager
    def locked_late(folder):
        made_up_suite(out, plan_for("pong,breakout", 1, ("smoke",)))
        yield

    monkeypatch.setattr("rl_speed.suite.folder.locked", locked_late)
    monkeypatch.setattr("rl_speed.suite.schedule.carry_out", lambda *_: None)
    answer = here("suite", "--out", "s", "--games", "qbert", cwd=tmp_path)
    assert json.loads((out / "suite.json").read_text())["games"] == ["pong", "breakout", "qbert"]
    assert answer.returncode == 1  # qbert has no score
    assert "2 finished, 0 failed, 1 missing" in answer.stdout


def suite(tmp_path, out="s"):
    (tmp_path / "tiny.yaml").write_text(TINY)
    return [
        "suite", "--games", "pong,breakout,freeway", "--seeds", "1", "--preset", "tiny.yaml", "--env-steps", "1200",
        "--episodes", "2", "--out", out,
    ]  # fmt: skip


def start(tmp_path):
    return subprocess.Popen(
        command(*suite(tmp_path)), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, preexec_fn=heed_signals,
    )  # fmt: skip


def wait_for(condition, process):
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_written(folder, name, since):
    """Whether a file of that name was begun or written to after a moment of `time.time`."""
    with suppress(FileNotFoundError):  # checkpoints are removed meanwhile
        return any(path.stat().st_mtime > since for path in folder.rglob(name))
    return False


def scores(folder):
    """What every finished run has computed."""
    found = {}
    for path in folder.glob("tiny/*/seed_*/score.json"):
        content = json.loads(path.read_text())
        training = {
            name: content["training"][name] for name in ("env_steps", "gradient_steps", "episodes", "avg_reward")
        }
        games = [line.split(",")[1:] for line in (path.parent / "episodes.csv").read_text().splitlines()[1:]]
        found[content["game"], content["seed"]] = (content["evaluation"]["returns"], training, games)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    answer = call(*suite(folder), cwd=folder)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return folder / "s"


@pytest.mark.slow
def test_a_suite_from_end_to_end(undisturbed):
    found = scores(undisturbed)
    assert len(found) == 3
    for returns, training, games in found.values():
        assert len(returns) == 2
        assert training["env_steps"] >= 1200
        assert len(games) == training["episodes"] > 0
    assert len({str(value[0]) for value in found.values()}) > 1  # the returns say something
    assert (undisturbed / "report.html").stat().st_size > 100_000
    assert not list(undisturbed.rglob("experience_rank*"))  # what only going on would need
    assert len(list(undisturbed.rglob("model.ckpt"))) == 3
    assert not list(undisturbed.rglob("failure.json"))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    "moments",
    [
        [(signal.SIGKILL, "model.ckpt"), (signal.SIGINT, "score.json")],
        pytest.param([(signal.SIGKILL, "run.log"), (signal.SIGTERM, "model.ckpt")], marks=pytest.mark.exhaustive),
    ],
    ids=["killed-interrupted", "killed-ended"],
)
def test_a_suite_that_is_killed_at_many_moments_gives_the_same_scores(tmp_path, undisturbed, moments):
    out, stamps = tmp_path / "s", {}
    for number, name in moments:
        begun = time.time()
        process = start(tmp_path)
        wait_for(lambda begun=begun, name=name: is_written(out, name, begun), process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        text = process.communicate(timeout=HANG_SECONDS)[0]
        if number != signal.SIGKILL:
            assert process.returncode == 128 + number, text
            assert not [child for child in children if child.is_running()]
        assert not psutil.wait_procs(children, timeout=HANG_SECONDS)[1]  # none outlives the suite for long
        for path, stamp in stamps.items():
            assert path.stat().st_mtime_ns == stamp  # what was finished is not done again
        stamps = {path: path.stat().st_mtime_ns for path in out.rglob("score.json")}
    answer = call(*suite(tmp_path), cwd=tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert scores(out) == scores(undisturbed)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_run_that_is_killed_fails_alone_and_goes_on_next_time(tmp_path, undisturbed):
    out = tmp_path / "s"
    process = start(tmp_path)
    found = []

    def is_saved():
        # Folders that are being filled are renamed while they are looked through.
        with suppress(FileNotFoundError):
            found.extend(out.rglob("model.ckpt"))
        return bool(found)

    wait_for(is_saved, process)
    folder = found[0].parents[3]
    victim = next(child for child in psutil.Process(process.pid).children() if str(folder) in " ".join(child.cmdline()))
    victim.kill()
    text = process.communicate(timeout=HANG_SECONDS)[0]
    assert process.returncode == 1, text
    assert "was killed by signal 9" in text
    assert len(scores(out)) == 2
    assert "failed" in (out / "scores.csv").read_text()
    answer = call("suite", "--out", "s", cwd=tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert scores(out) == scores(undisturbed)
    assert not list(out.rglob("failure.json"))
