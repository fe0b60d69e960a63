"""One bench: contestants take turns, and nothing measured is ever lost."""

import json

from rl_speed.bench import contestants, session
from tests.bench.measurements import result


def test_repeats_are_interleaved_and_saved_at_once(quick, tmp_path):
    quick.session.interleave([contestants.rung("baseline"), contestants.rung("smoke")])
    assert quick.asked == ["baseline", "smoke", "smoke", "baseline"]  # the order turns, too
    content = json.loads((tmp_path / "bench.json").read_text())
    assert [row["ratio_to_baseline"] for row in content["rows"]] == [1, 10]
    assert content["is_whole"] is False
    assert {"machine", "versions", "commit", "rows", "diagnosis"} <= set(content)


def test_a_crash_is_said_once_and_the_others_go_on(quick):
    quick.speeds["smoke"] = None
    quick.session.interleave([contestants.rung("smoke"), contestants.rung("baseline")])
    assert quick.asked == ["smoke", "baseline", "baseline"]
    assert [text for text in quick.messages if "broke" in text] == ["smoke failed: broke (log: x)"]
    assert [bool(row["error"]) for row in quick.session.content()["rows"]] == [True, False]


def test_a_file_that_is_edited_meanwhile_changes_nothing(quick, tmp_path, monkeypatch):
    specs = []

    def run_child(spec, *_):
        specs.append(spec)
        path.write_text("extends: nowhere\n")
        return result(10.0)

    monkeypatch.setattr(session, "run_child", run_child)
    path = tmp_path / "mine.yaml"
    path.write_text("extends: smoke\nupdate: {batch_size: 16}\n")
    mine = contestants.rung(str(path))
    quick.session.interleave([mine])
    assert [spec["config"]["update"]["batch_size"] for spec in specs] == [16, 16]
    assert quick.session.content()["configs"]["mine"]["update"]["batch_size"] == 16


def test_a_file_that_is_broken_before_its_turn_fails_alone(quick, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: nowhere\n")
    quick.session.interleave([contestants.rung(str(path)), contestants.rung("baseline")])
    assert [bool(row["error"]) for row in quick.session.content()["rows"]] == [True, False]
    assert any("mine failed" in text for text in quick.messages)


def test_a_peer_that_is_missing_has_a_row(quick, monkeypatch):
    monkeypatch.setattr(contestants.Contestant, "missing", lambda self: "it is not installed")
    quick.session.interleave(contestants.peers()[:1])
    (row,) = quick.session.content()["rows"]
    assert (row["name"], row["error"]) == ("sb3", "it is not installed")


def test_games_alone_are_measured_as_they_come(monkeypatch, tmp_path):
    specs = []
    monkeypatch.setattr(session, "run_child", lambda spec, *_: specs.append(spec) or result(10.0))
    settings = session.Settings(1.0, 1, 0.1, ("envs.frame_skip=2",), "rl-speed bench")
    made = session.Session(settings, tmp_path, lambda text: None)
    made.interleave([contestants.env_only()[0], contestants.rung("baseline")])
    made.close()
    assert [spec["config"]["envs"]["frame_skip"] for spec in specs] == [4, 2]


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

    monkeypatch.setattr(session, "write_whole", full)
    quick.session.interleave([contestants.rung("baseline")])
    assert len(quick.session.measurements) == 2
    assert sum("cannot be written" in text for text in quick.messages) == 1


def test_the_plan_that_ran_is_kept_and_used(quick):
    contestant = contestants.rung("baseline")
    quick.session.measure(contestant, 0)
    content = quick.session.content()
    assert content["plans"]["baseline"]["decisions"]["update.precision"]["value"] == "fp32"


def test_what_a_rung_left_open_is_what_its_plan_says(quick):
    quick.speeds["fast_cpu"] = 2000.0
    quick.session.measure(contestants.rung("fast_cpu"), 0)
    assert quick.session._configs["fast_cpu"]["update"]["precision"] == "auto"
    assert quick.session._as_run()["fast_cpu"]["update"]["precision"] == "fp32"
