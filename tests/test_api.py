"""The program as functions: in a script, a thread, and with the caller's own env and network."""

import contextlib
import io
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from rich.console import Console

import rl_speed
from rl_speed import api
from rl_speed.experience.parts import Parts
from rl_speed.system.errors import UserError
from tests.command_line import HANG_SECONDS
from tests.conftest import TINY

README = Path(__file__).parent.parent / "README.md"


class Corridor(gymnasium.Env):
    """Ten places in a row; the picture shows where one is, a reward waits at the right end."""

    def __init__(self, length=10, first_action=0, colours=3):
        self.length = length
        shape = (30, 40, colours) if colours else (30, 40)
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2, start=first_action)
        self.place, self.steps, self.seeds = 0, 0, []

    def _picture(self):
        picture = np.zeros(self.observation_space.shape, dtype=np.uint8)
        picture[:, 4 * self.place : 4 * self.place + 4] = 255
        return picture

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.place = self.steps = 0
        return self._picture(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        self.place = min(max(self.place + (1 if action > self.action_space.start else -1), 0), self.length - 1)
        is_there = self.place == self.length - 1
        return self._picture(), float(is_there), is_there, self.steps >= 50, {}


class OwnNetwork(torch.nn.Module):
    """One product, and a parameter that no loss reaches."""

    def __init__(self, shape, num_actions):
        super().__init__()
        self.product = torch.nn.Linear(shape[0] * shape[1] * shape[2], num_actions)
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, observation):
        return self.product(observation.float().flatten(1) / 255)


def tiny(tmp_path, **changes):
    """Overrides of a run of a second."""
    return {
        **TINY,
        "logging": {"directory": str(tmp_path), "progress_bar": False},
        "stop": {"max_gradient_steps": 30, "confirm_episodes": 0},
        **changes,
    }


def train(tmp_path, **arguments):
    changes = arguments.pop("changes", {})
    return rl_speed.train("baseline", tiny(tmp_path, **changes), seed=3, **arguments)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on ale-py with games of at most 100 env steps, for tests that only read it, and what it printed."""
    directory, printed = tmp_path_factory.mktemp("trained"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = train(directory, changes={"envs": {**TINY["envs"], "max_episode_frames": 400}})
    return result, directory, printed.getvalue()


def test_train_evaluate_and_load(trained, capsys):
    result, directory, printed = trained
    assert (result.stop_reason, result.gradient_steps, result.solved) == ("max_gradient_steps", 30, False)
    assert result.checkpoint.is_dir()
    assert result.directory == directory / "version_0"
    assert result.content["seed"] == 3
    games = rl_speed.evaluate(result.checkpoint, episodes=1, epsilon=1.0)
    assert len(games.returns) == 1
    agent = rl_speed.load(result.checkpoint)
    assert agent.action_names[0] == "NOOP"
    screen = np.random.default_rng(0).integers(0, 256, (210, 160, 3), dtype=np.uint8)
    assert 0 <= agent(screen) < len(agent.action_names)
    assert printed + capsys.readouterr().out == ""


def test_the_agent_sees_what_the_run_saw(trained):
    agent = rl_speed.load(trained[0].checkpoint)
    first, second = (np.full((210, 160), value, dtype=np.uint8) for value in (10, 200))
    seen = []
    agent._policy.network = lambda stack: seen.append(stack[0, :, 0, 0].tolist()) or torch.zeros(1, 6)
    agent(first)
    agent(second)
    agent.reset()
    agent(second)
    assert seen == [[0, 10], [10, 200], [0, 200]]
    with pytest.raises(ValueError, match="a screen is uint8"):
        agent(first.astype(np.float32))


def test_the_callers_process_is_left_as_it_was(tmp_path):
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    expected = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    filters = list(warnings.filters)
    during = []

    class Look(Callback):
        def on_train_batch_end(self, *_):
            during.append([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])

    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        result = train(tmp_path, callbacks=[Look()])
        rl_speed.evaluate(result.checkpoint, episodes=1, epsilon=1.0)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), expected[0])
    assert random.getstate() == expected[1]
    assert np.random.get_state()[1].tolist() == expected[2]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert during[-1] == handlers
    assert warnings.filters == filters


@pytest.mark.parametrize("kind", ["in_process", pytest.param("subprocess", marks=pytest.mark.slow)])
def test_an_interrupt_saves_the_run_and_leaves_the_interpreter_alone(kind, tmp_path):
    class Interrupt(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 10:
                os.kill(os.getpid(), signal.SIGINT)

    # Who runs the tests in a shell's background has Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threads = torch.get_num_threads()
    try:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, callbacks=[Interrupt()], changes={"actors": {"kind": kind}})
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert torch.get_num_threads() == threads
    resumed = rl_speed.train(
        resume="last", overrides={"logging.directory": str(tmp_path), "stop.max_gradient_steps": 20}
    )
    assert resumed.gradient_steps == 20
    assert resumed.directory == tmp_path / "version_0"


def test_an_interrupt_in_the_middle_of_a_game_keeps_what_is_whole(tmp_path, monkeypatch):
    from rl_speed.experience.generators.player import Player

    finish, calls = Player.finish, []

    def broken(self, space, t):
        calls.append(t)
        if len(calls) == 60:
            raise KeyboardInterrupt
        finish(self, space, t)

    monkeypatch.setattr(Player, "finish", broken)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    monkeypatch.undo()
    resumed = rl_speed.train(
        resume=tmp_path / "version_0", overrides={"stop.max_gradient_steps": 40, "logging.directory": str(tmp_path)}
    )
    assert resumed.gradient_steps == 40


def test_in_a_thread_and_stopped_from_outside(tmp_path):
    stop, results = threading.Event(), []

    class StopLater(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 12:
                stop.set()

    thread = threading.Thread(
        target=lambda: results.append(train(tmp_path, callbacks=[StopLater()], stop=stop, env=Corridor))
    )
    thread.start()
    thread.join(HANG_SECONDS)
    assert results[0].stop_reason == "interrupted"
    assert results[0].gradient_steps == 12
    assert results[0].checkpoint.is_dir()


@pytest.mark.parametrize("kind", ["in_process", pytest.param("subprocess", marks=pytest.mark.slow)])
def test_an_env_and_a_network_of_the_callers_own(kind, tmp_path):
    changes = {"actors": {"kind": kind}, "envs": {**TINY["envs"], "count": 2}}
    # Made here: neither the env nor the network can be imported by an actor process.
    length = 8
    own = {"env": lambda: Corridor(length, first_action=5), "network": lambda shape, n: OwnNetwork(shape, n)}
    result = train(tmp_path, changes=changes, **own)
    assert result.gradient_steps == 30
    assert 0.0 <= result.avg_reward <= 1.0  # no game of ale-py has been played
    assert result.content["plan"]["parts"] == {
        "own_env": f"{__name__}.test_an_env_and_a_network_of_the_callers_own.<locals>.<lambda>",
        "own_network": f"{__name__}.test_an_env_and_a_network_of_the_callers_own.<locals>.<lambda>",
    }
    games = rl_speed.evaluate(result.checkpoint, episodes=3, epsilon=0.5, **own)
    assert len(games.returns) == 3
    assert set(games.returns) <= {0.0, 1.0}
    assert rl_speed.play(result.checkpoint, tmp_path / "game.mp4", epsilon=1.0, **own) in (0.0, 1.0)
    assert (tmp_path / "game.mp4").stat().st_size > 1000
    agent = rl_speed.load(result.checkpoint, network=own["network"])
    assert agent.action_names is None
    assert agent(np.zeros((30, 40, 3), dtype=np.uint8)) in (0, 1)
    resumed = rl_speed.train(
        resume=result.checkpoint,
        overrides={"stop.max_gradient_steps": 40, "logging.directory": str(tmp_path)},
        **own,
    )
    assert resumed.gradient_steps == 40


def test_what_a_run_was_made_of_is_not_taken_for_something_else(tmp_path, trained):
    result = train(tmp_path, env=Corridor)
    with pytest.raises(
        UserError, match=r"with an env of the caller's own; call rl_speed from Python with env=.*Corridor"
    ):
        rl_speed.evaluate(result.checkpoint, episodes=1)
    with pytest.raises(UserError, match=r"a network of rl_speed's own; leave network="):
        rl_speed.evaluate(trained[0].checkpoint, episodes=1, network=OwnNetwork)


@pytest.mark.parametrize(
    ("env", "part"),
    [
        (lambda: gymnasium.make("CartPole-v1"), "must be a Box of uint8"),
        (lambda: gymnasium.make("Pendulum-v1"), "must be Discrete with two actions or more"),
        (lambda: 3, "env: it made a int"),
    ],
)
def test_an_env_without_images_is_refused_in_a_sentence(env, part, tmp_path):
    with pytest.raises(UserError, match=part):
        train(tmp_path, env=env)


@pytest.mark.parametrize(
    ("network", "part"),
    [
        (lambda shape, n: torch.nn.Flatten(), r"gives \(2, 800\) for two observations of \(2, 20, 20\), not \(2, 6\)"),
        (lambda shape, n: None, "made a NoneType"),
        (lambda shape, n: torch.nn.Linear(3, n), "cannot read uint8"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_in_a_sentence(network, part, tmp_path):
    with pytest.raises(UserError, match=part):
        train(tmp_path, network=network)


def test_what_does_not_hold_for_a_network_of_the_callers_own_is_told():
    heard = io.StringIO()
    api._new_run("atari", [], None, Console(file=heard, width=1000), Parts(None, OwnNetwork))
    (line,) = [line for line in heard.getvalue().splitlines() if "network=" in line]
    assert "network.value" in line
    assert "network.standardise" in line
    assert "network.kind" not in line  # as it usually is


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"overrides": {"envs.count": 0}}, "envs.count = 0"),
        ({"overrides": {"nonsense": 1}}, "unknown key nonsense"),
        ({"preset": "no_such"}, "config 'no_such'"),
        ({"preset": "smoke", "resume": "last"}, "exclude each other"),
        ({"seed": -1}, "seed = -1"),
        ({"max_seconds": 0}, "stop.max_seconds = 0"),
    ],
)
def test_mistakes_are_one_sentence(arguments, part):
    with pytest.raises(UserError, match=re.escape(part)) as caught:
        rl_speed.train(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "call", [rl_speed.evaluate, rl_speed.load, lambda run, **given: rl_speed.play(run, "x", **given)]
)
@pytest.mark.parametrize(
    ("given", "part"),
    [({"epsilon": 5}, "epsilon = 5"), ({"seed": -1}, "seed = -1"), ({"seed": 2**31}, "seed = 2147483648")],
)
def test_chance_is_checked_before_anything_is_read(call, given, part):
    with pytest.raises(UserError, match=f"{part} must be from 0 to"):
        call("no_such_run", **given)


@pytest.mark.slow
def test_a_plain_script_without_a_guard_runs_with_actor_processes(tmp_path):
    (tmp_path / "script.py").write_text(
        textwrap.dedent(
            f"""
            import rl_speed
            print("started")
            result = rl_speed.train("baseline", {tiny(tmp_path, actors={"kind": "subprocess"})!r})
            print(result.gradient_steps)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
        env={**os.environ, "PYTHONPATH": str(README.parent)},
    )  # fmt: skip
    assert done.stdout.splitlines() == ["started", "30"], done.stderr


def test_import_is_light():
    code = "import rl_speed, sys; print('torch' in sys.modules, sorted(set(rl_speed.__all__) - set(dir(rl_speed))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=README.parent)
    assert done.stdout.split(maxsplit=1) == ["False", "[]\n"]


@pytest.mark.slow
@pytest.mark.long
def test_the_readmes_example_runs(tmp_path):
    (example,) = re.findall(r"```python\n(import rl_speed\n.*?)```", README.read_text(), flags=re.S)
    assert "20_000" in example  # fewer here: what the lines do is the same
    (tmp_path / "example.py").write_text(example.replace("20_000", "6_000"))
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
        env={**os.environ, "PYTHONPATH": str(README.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
