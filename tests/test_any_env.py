"""An env of Gymnasium's registry from the command line: trained, judged, filmed, resumed, refused."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
import yaml

import rl_speed
from tests.command_line import HANG_SECONDS, ROOT, call
from tests.conftest import TINY_RUN

MODULE = "tests.registered_envs"
IN_PROCESS = {**TINY_RUN, "replay": {"capacity_env_steps": 2000, "prefill_env_steps": 200}}
APART = {**IN_PROCESS, "actors": {"kind": "subprocess", "count": 2, "rollout_env_steps": 2}}


def settings(name, *more):
    return [text for change in (f"envs.id={MODULE}:{name}-v0", *more) for text in ("--set", change)]


def train(here, folder, name, *more, content=IN_PROCESS):
    (folder / "run.yaml").write_text(yaml.safe_dump(content))
    limit = "stop.max_gradient_steps=20"
    return here("train", "--config", "run.yaml", *settings(name, limit, *more), cwd=folder)


@pytest.mark.parametrize(
    "content", [IN_PROCESS, pytest.param(APART, marks=pytest.mark.slow)], ids=["in_process", "subprocess"]
)
def test_a_run_is_trained_judged_filmed_and_resumed(tmp_path, here, content):
    trained = train(here, tmp_path, "Colour", "envs.options={length: 5}", content=content)
    assert trained.returncode == 0, trained.stderr
    result = json.loads((tmp_path / "lightning_logs/version_0/result.json").read_text())
    assert (result["stop_reason"], result["gradient_steps"]) == ("max_gradient_steps", 20)
    assert result["frames"] == result["env_steps"]
    assert result["config"]["envs"]["options"] == {"length": 5}
    assert result["plan"]["parts"]["own_env"] is None
    assert result["plan"]["decisions"]["envs.backend"]["value"] == "gymnasium"
    run = "lightning_logs/version_0"
    judged = here("evaluate", run, "--episodes", "3", "--epsilon", "1", "--json", "games.json", cwd=tmp_path)
    assert judged.returncode == 0, judged.stderr
    games = json.loads((tmp_path / "games.json").read_text())
    assert games["game"] == f"{MODULE}:Colour-v0"
    assert set(games["returns"]) <= {0.0, 1.0}
    assert max(games["lengths_env_steps"]) <= 30  # the env's own limit
    played = here("play", run, "--video", "game.mp4", "--epsilon", "1", cwd=tmp_path)
    assert played.returncode == 0, played.stderr
    assert f"{MODULE}:Colour-v0: return" in played.stdout
    resumed = here("train", "--resume", "last", "--set", "stop.max_gradient_steps=30", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "the games are started anew" in resumed.stdout
    assert json.loads((tmp_path / run / "result.json").read_text())["gradient_steps"] == 30
    agent = rl_speed.load(tmp_path / run)
    assert agent.action_names is None
    assert agent(torch.zeros(30, 40, 3, dtype=torch.uint8).numpy()) in (0, 1)


def test_a_video_has_the_size_and_the_speed_of_what_the_env_renders(tmp_path, here):
    import imageio.v2 as imageio

    trained = train(here, tmp_path, "Numbers", "envs.render_observation=true", "envs.options.max_episode_steps=10")
    assert trained.returncode == 0, trained.stderr
    played = here("play", "lightning_logs/version_0", "--video", "game.mp4", cwd=tmp_path)
    assert played.returncode == 0, played.stderr
    with imageio.get_reader(tmp_path / "game.mp4") as reader:
        facts = reader.get_meta_data()
    assert facts["fps"] == 20
    assert facts["size"] == (500, 40 + 360)  # 50 x 36 pixels, ten times as large, and the line of text
    assert 2 < facts["duration"] <= 2.6


def test_a_goal_is_confirmed_on_the_env_itself(tmp_path, here):
    goal = ["stop.reward=-1", "stop.window_episodes=2", "stop.confirm_episodes=3", "stop.max_gradient_steps=null"]
    trained = train(here, tmp_path, "Grey", *goal)
    assert trained.returncode == 0, trained.stderr
    result = json.loads((tmp_path / "lightning_logs/version_0/result.json").read_text())
    assert result["solved"]
    assert result["confirmation"]["episodes"] == 3
    assert 0 <= result["confirmation"]["mean"] <= 1


def test_doctor_shows_the_plan_with_it(tmp_path, here):
    answer = here("doctor", "--config", "baseline", *settings("Grey"), cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "gymnasium" in answer.stdout


@pytest.mark.parametrize(
    ("name", "more", "parts"),
    [
        ("Gray", [], ["is not registered", "Grey-v0"]),
        ("Grey", ["envs.options.sise=3"], ["envs.options", "sise"]),
        ("Grey", ["envs.game=pong"], ["envs.id", "envs.game = 'pong'", "exclude"]),
        ("Lacking", [], ["pip install boxes"]),
        ("Refusing", [], ["a name that nobody knows"]),
        ("Steered", [], ["Discrete", "envs.options.continuous"]),
        ("Numbers", [], ["Box of uint8", "envs.render_observation"]),
        ("Blind", ["envs.render_observation=true"], ["rgb_array"]),
        ("Lying", [], ["float32"]),
    ],
)
def test_what_cannot_be_played_ends_with_a_sentence_and_status_2(tmp_path, here, name, more, parts):
    answer = train(here, tmp_path, name, *more)
    assert answer.returncode == 2
    last = answer.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    for part in parts:
        assert part in last


def test_what_fails_in_a_step_is_raised_as_it_is_and_the_run_is_saved(tmp_path, here):
    with pytest.raises(ZeroDivisionError, match="a step of Breaking"):
        train(here, tmp_path, "Breaking", "stop.max_gradient_steps=null")
    # Games that broke in the middle of a step are started anew.
    resumed = here("train", "--resume", "last", "--set", "stop.max_gradient_steps=1", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "the games are started anew" in resumed.stdout


def test_a_resumed_run_keeps_its_env(tmp_path, here):
    assert train(here, tmp_path, "Grey").returncode == 0
    answer = here("train", "--resume", "last", "--set", "envs.options.length=9", cwd=tmp_path)
    assert answer.returncode == 2
    assert "envs.options cannot change from {} to {'length': 9} on resume" in answer.stderr


@pytest.mark.slow
def test_the_pages_module_is_found_by_pythonpath(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/any_env.md").read_text(), flags=re.S)
    (tmp_path / "mine.py").write_text(example)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(APART))
    arguments = [
        "train", "--config", "run.yaml", "--set", "envs.id=mine:Mine-v0", "--set", "stop.max_gradient_steps=20"
    ]  # fmt: skip
    refused = call(*arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert "No module named 'mine'" in refused.stderr
    assert "Traceback" not in refused.stderr
    trained = call(*arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert trained.returncode == 0, trained.stderr


@pytest.mark.slow
def test_what_only_the_callers_program_registers_is_explained_in_actors(tmp_path):
    (tmp_path / "script.py").write_text(
        f"import gymnasium, rl_speed\nfrom {MODULE} import Walk\n"
        "gymnasium.register('Mine-v0', entry_point=Walk, max_episode_steps=30)\n"
        "from rl_speed.system.errors import UserError\n"
        f"content = {APART!r}\ncontent.pop('extends')\n"
        "try:\n    rl_speed.train('smoke', {**content, 'envs.id': 'Mine-v0', 'stop.max_gradient_steps': 20})\n"
        "except UserError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "envs.id = Mine-v0 is not registered with Gymnasium; if a module registers it" in done.stdout, done.stderr
