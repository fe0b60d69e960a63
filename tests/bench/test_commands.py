"""`bench` on the command line: bad input, crashes, Ctrl-C, and one bench from end to end."""

import importlib.util
import json

import pytest

from rl_speed.bench import contestants, session
from rl_speed.bench.commands import _command
from tests.bench.measurements import answering
from tests.command_line import call


def bench(here, monkeypatch, speeds, *arguments, cwd):
    monkeypatch.setattr(session, "run_child", answering(speeds, []))
    return here("bench", *arguments, cwd=cwd)


def test_an_unknown_rung_is_one_sentence_and_the_others_are_kept(here, monkeypatch, tmp_path):
    answer = bench(here, monkeypatch, {}, "baselin", "baseline", "--out", "r", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stdout.count("did you mean baseline?") == 1
    names = [row["name"] for row in json.loads((tmp_path / "r/bench.json").read_text())["rows"]]
    assert names == ["baseline"]
    assert bench(here, monkeypatch, {}, "nope", cwd=tmp_path).returncode == 2


def test_a_crashed_rung_leaves_a_whole_report(here, monkeypatch, tmp_path):
    speeds = {"smoke": None}
    answer = bench(here, monkeypatch, speeds, "smoke", "baseline", "--out", "r", cwd=tmp_path)
    assert answer.returncode == 1
    assert "smoke failed: broke" in answer.stdout
    for name in ("bench.json", "bench.csv", "bench.md", "bench.html"):
        assert (tmp_path / "r" / name).stat().st_size > 100
    assert "baseline" in (tmp_path / "r/bench.csv").read_text()


def test_ctrl_c_keeps_what_was_measured(here, monkeypatch, tmp_path):
    speeds = {"smoke": KeyboardInterrupt()}
    answer = bench(here, monkeypatch, speeds, "baseline", "smoke", "--out", "r", cwd=tmp_path)
    assert answer.returncode == 130
    content = json.loads((tmp_path / "r/bench.json").read_text())
    assert [row["name"] for row in content["rows"]] == ["baseline"]
    assert content["is_whole"] is False
    assert (tmp_path / "r/bench.html").exists()


def test_a_peer_that_is_not_installed_is_one_sentence(here, monkeypatch, tmp_path):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        contestants.importlib.util, "find_spec", lambda name: None if name == "stable_baselines3" else find_spec(name)
    )
    answer = bench(here, monkeypatch, {}, "baseline", "--peers", "--repeats", "1", "--out", "r", cwd=tmp_path)
    assert answer.returncode == 0
    assert answer.stdout.count("sb3 needs the package stable_baselines3, which is not installed") >= 1
    assert "make peers" in answer.stdout
    content = json.loads((tmp_path / "r/bench.json").read_text())
    assert any(row["name"] == "single_file" and row["env_steps_per_second"] for row in content["rows"])


BAD_INPUT = [
    (["bench", "baseline", "--out", "/proc/none"], ["--out /proc/none", "another folder"]),
    (["bench", "baseline", "--out", "x" * 300], ["--out xxx", "another folder"]),
    (["bench", "--sweep", "nets"], ["--sweep nets", "envs, actors, wrappers, devices"]),
    (["bench", "--peers", "--set", "envs.game=breakout"], ["--peers", "envs.game = breakout"]),
    (["bench", "--peers", "--set", "update.batch_size=64"], ["--peers", "update.batch_size = 64", "leave one"]),
    (["bench", "baseline", "--set", "trainer.launcher=ray"], ["no rung is left to measure"]),
    (["bench", "report", "nowhere"], ["nowhere", "folder of a bench"]),
    (["bench", "compare", "1", "2"], ["holds no record", "bench stages"]),
    (["bench", "stages", "--config", "nope"], ["'nope'"]),
    (["bench", "stages", "--history", "/proc/none/x"], ["/proc/none/x", "another file"]),
]


@pytest.mark.parametrize(("arguments", "parts"), BAD_INPUT, ids=range(len(BAD_INPUT)))
def test_bad_input_gets_one_sentence(tmp_path, here, arguments, parts):
    answer = here(*arguments, cwd=tmp_path)
    assert answer.returncode == 2
    for part in parts:
        assert part in answer.stderr.strip().splitlines()[-1]


def test_a_run_without_a_goal_cannot_be_solved(here, monkeypatch, tmp_path):
    class Config:
        stop = type("Stop", (), {"reward": None})

    monkeypatch.setattr("rl_speed.config.load_config", lambda preset, overrides=(): Config)
    answer = bench(here, monkeypatch, {}, "baseline", "--to-solve", cwd=tmp_path)
    assert answer.returncode == 2
    assert "rung baseline has no goal (stop.reward = null); give one" in answer.stderr
    assert not list(tmp_path.rglob("bench.json"))


def test_who_does_the_work_may_be_changed_beside_peers(here, monkeypatch, tmp_path):
    arguments = ["parallel", "--peers", "--set", "actors.count=2", "--repeats", "1", "--out", "r"]
    answer = bench(here, monkeypatch, {}, *arguments, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr


def test_peers_play_what_the_rungs_play(here, tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: baseline\nenvs: {game: breakout}\n")
    answer = here("bench", "mine.yaml", "--peers", "--out", "r", cwd=tmp_path)
    assert answer.returncode == 2
    assert "--peers play pong without sticky actions, and rung mine plays breakout" in answer.stderr


def test_a_bench_that_is_there_is_not_written_over(here, monkeypatch, tmp_path):
    bench(here, monkeypatch, {}, "baseline", "--out", "r", cwd=tmp_path)
    record = (tmp_path / "r/bench.json").read_bytes()
    answer = bench(here, monkeypatch, {}, "n_envs", "--out", "r", cwd=tmp_path)
    assert answer.returncode == 2
    assert "--out r holds a bench already; choose another folder, or remove it" in answer.stderr
    assert (tmp_path / "r/bench.json").read_bytes() == record


def test_the_report_of_a_folder_is_made_anew(here, monkeypatch, tmp_path):
    bench(here, monkeypatch, {}, "baseline", "n_envs", "--out", "r", cwd=tmp_path)
    (tmp_path / "r/bench.html").unlink()
    record = (tmp_path / "r/bench.json").read_bytes()
    answer = here("bench", "report", "r", cwd=tmp_path)
    assert answer.returncode == 0
    assert answer.stdout.startswith("Verdict")
    assert (tmp_path / "r/bench.html").exists()
    assert (tmp_path / "r/bench.json").read_bytes() == record  # what was measured is not written over


@pytest.mark.slow
def test_a_bench_from_end_to_end(tiny_file, tmp_path):
    arguments = ["--seconds-per-rung", "1", "--repeats", "2", "--warmup-seconds", "0.5", "--out", "r"]
    solve = ["--to-solve", "--first-seed", "7", "--seeds", "1", "--solve-minutes", "0.1"]
    answer = call("bench", "smoke", tiny_file, *arguments, *solve, cwd=tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    content = json.loads((tmp_path / "r/bench.json").read_text())
    assert content["is_whole"]
    assert [row["repeats"] for row in content["rows"]] == [2, 2]
    for row in content["rows"]:
        assert row["env_steps_per_second"]["min"] > 0
        assert row["cpu_percent"] > 0
        assert row["peak_memory_bytes"] > 100_000_000
    assert {(run["name"], run["seed"]) for run in content["solve"]} == {("smoke", 7), ("tiny", 7)}
    assert all(path.is_file() for path in (tmp_path / "r/logs").iterdir())  # what the runs saved is gone
    assert not any(run["solved"] for run in content["solve"])
    assert "does not count" in answer.stdout


def test_a_report_does_not_show_where_it_was_written():
    shown = "rl-speed bench baseline --seconds-per-rung 2 --set 'stop.reward=1 '"
    for out in (["--out", "/home/me/results"], ["--out=/home/me/results"], []):
        arguments = ["bench", "baseline", *out, "--seconds-per-rung", "2", "--set", "stop.reward=1 "]
        assert _command(arguments) == shown
