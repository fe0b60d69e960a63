"""What is compiled when: the interpreter first, the blocks beside it, and nothing twice."""

import subprocess
import sys

import numpy as np
import pytest

from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.games import find_game
from rl_speed.emulator.libraries import kept_recompiled_library
from rl_speed.emulator.settings import ConsoleSettings


@pytest.mark.slow
def test_a_game_begins_on_the_interpreter_and_goes_on_with_the_blocks(tmp_path, monkeypatch, capsys):
    """Not a bit changes where it goes over, and the second start has the blocks at once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    game, settings = find_game("pong"), ConsoleSettings(frame_stack=3, max_frames=200)
    assert kept_recompiled_library(game) is None
    one = Consoles(game, 2, settings, recompile="later")
    other = Consoles(game, 2, settings, recompile=False)
    rng = np.random.default_rng(0)
    one.seed(np.array([1, 2]))
    other.seed(np.array([1, 2]))
    for step in range(160):
        if step == 80:
            before = one._library
            assert one.upgrade(wait=True)
            assert one._library is not before
        actions = rng.integers(6, size=2)
        np.testing.assert_array_equal(one.step(actions).observation, other.step(actions).observation)
        np.testing.assert_array_equal(one.state["console"], other.state["console"], err_msg=f"step {step}")
    one.close()
    other.close()
    assert kept_recompiled_library(game) is not None
    again = Consoles(game, recompile="later")
    assert again._upgrade is None
    again.close()


@pytest.mark.slow
def test_closing_ends_the_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    game = find_game("ms_pacman")
    one = Consoles(game, recompile="later")
    thread = one._upgrade._thread
    one.close()
    assert not thread.is_alive()
    assert kept_recompiled_library(game) is None
    # Nor does a program wait for it that ends without closing anything.
    script = (
        "from rl_speed.emulator import AtariVectorEnv; AtariVectorEnv('ms_pacman', 2).reset(seed=0); print('played')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "played", done.stderr
    assert "compiling" in done.stderr
    assert kept_recompiled_library(game) is None


def test_without_a_compiler_there_is_a_sentence():
    script = (
        "import sys; sys.modules['ziglang'] = None\n"
        "from rl_speed.emulator import AtariVectorEnv\n"
        "from rl_speed.system.errors import UserError\n"
        "try:\n    AtariVectorEnv('pong', 2)\nexcept UserError as error:\n    print(error)\n"
    )
    environment = {"PATH": "", "HOME": "/nowhere", "CXX": "no-such-compiler"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert "compiler" in done.stdout, done.stderr


def test_the_emulator_needs_neither_torch_nor_the_rest_of_the_program():
    """What rl-speed-emulator is made of: numpy, Gymnasium, ale-py, filelock, psutil, and two rooms."""
    script = (
        "import sys\n"
        "for name in ('torch', 'pytorch_lightning', 'typer', 'rich', 'pydantic', 'yaml', 'cv2', 'tensorboard'):\n"
        "    sys.modules[name] = None\n"
        "import gymnasium, rl_speed.emulator\n"
        "envs = gymnasium.make_vec('rl_speed/Pong-v5', num_envs=2, recompile=False)\n"
        "envs.reset(seed=0); envs.step(envs.action_space.sample()); envs.close()\n"
        "print(*sorted({name.split('.')[1] for name in sys.modules if name.startswith('rl_speed.')}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["emulator", "system"], done.stderr
