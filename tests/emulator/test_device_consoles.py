"""AtariVectorEnv on a GPU, whose kernels run on the CPU here: the same as without one."""

import numpy as np
import pytest
import torch

from rl_speed.emulator import AtariVectorEnv, cuda
from rl_speed.system.errors import UserError
from tests.emulator.factory import simulated

SHORT = {"max_num_frames_per_episode": 30, "noop_max": 3, "img_height": 42, "img_width": 42, "stack_num": 3}
N = 3


@pytest.fixture
def kernels(monkeypatch):
    """Kernels of Pong that are run by fibers; tensors lie in main memory."""
    monkeypatch.setattr(cuda, "driver_launcher", lambda game, num_consoles: simulated(game))


def make(device, **arguments):
    return AtariVectorEnv("pong", N, recompile=False, device=device, **{**SHORT, **arguments})


def assert_alike(ours, expected):
    for mine, other in zip(ours[:-1], expected[:-1], strict=True):
        assert isinstance(mine, torch.Tensor)
        np.testing.assert_array_equal(mine, other)
    for name, values in expected[-1].items():
        if name == "final_info":
            assert ours[-1][name].keys() == values.keys()
            done = expected[-1]["_final_info"]
            for part, numbers in ours[-1][name].items():
                np.testing.assert_array_equal(numbers[done], values[part][done])
        elif name == "final_obs":
            for index in np.flatnonzero(expected[-1]["_final_obs"]):
                np.testing.assert_array_equal(ours[-1][name][index], values[index])
        else:
            np.testing.assert_array_equal(ours[-1][name], values, err_msg=name)


def play(env, steps, seed=0):
    rng = np.random.default_rng(seed)
    return [env.step(rng.integers(6, size=N)) for _ in range(steps)]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    "mode", ["NextStep", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("SameStep", "Disabled"))]
)
def test_what_consoles_on_the_cpu_say(mode):
    ours, other = make("cuda", autoreset_mode=mode), make("cpu", autoreset_mode=mode)
    assert_alike(ours.reset(seed=[4, 5, 6]), other.reset(seed=[4, 5, 6]))
    rng = np.random.default_rng(0)
    ended = 0
    for step in range(24):
        actions = rng.integers(6, size=N)
        given = torch.from_numpy(actions) if step % 2 else actions.tolist()
        first, second = ours.step(given), other.step(actions)
        assert_alike(first, second)
        over = second[2] | second[3]
        ended += int(over.sum())
        if mode == "Disabled" and over.any():
            with pytest.raises(Exception, match="are over"):
                ours.step([0, 0, 0])
            options = {"reset_mask": over}
            seeds = [9, 8, 7] if ended == N else None
            assert_alike(ours.reset(seed=seeds, options=options), other.reset(seed=seeds, options=options))
        if step == 11:
            mask = {"reset_mask": np.array([False, True, False])}
            assert_alike(ours.reset(options=mask), other.reset(options=mask))
    assert ended >= 2 * N


@pytest.mark.slow
@pytest.mark.usefixtures("kernels")
def test_continuous_actions_and_lost_lives():
    arguments = {"continuous": True, "life_loss_info": True, "repeat_action_probability": 0.3}
    ours, other = make("cuda", **arguments), make("cpu", **arguments)
    other.action_space.seed(3)
    assert_alike(ours.reset(seed=1), other.reset(seed=1))
    for step in range(16):
        actions = other.action_space.sample()
        assert_alike(ours.step(torch.from_numpy(actions) if step % 2 else actions), other.step(actions))


@pytest.mark.slow
@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("arguments", [{}, {"stack_num": 1}, {"autoreset_mode": "SameStep"}])
def test_states_go_from_the_gpu_to_the_cpu_and_back(arguments):
    ours, other = make("cuda", **arguments), make("cpu", **arguments)
    ours.reset(seed=2)
    other.reset(seed=70)
    play(ours, 9)
    saved = ours.save_states()
    shown = other.load_states(saved)
    assert_alike(ours.load_states(saved), shown)
    expected = play(other, 12, seed=1)
    for first, second in zip(play(ours, 12, seed=1), expected, strict=True):
        assert_alike(first, second)
    ours.load_states(saved[[2, 0]], [0, 1])
    other.load_states(saved[[2, 0]], [0, 1])
    for first, second in zip(play(ours, 6, seed=2), play(other, 6, seed=2), strict=True):
        assert_alike(first, second)


@pytest.mark.slow
@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_games_that_were_over_when_they_were_saved_start_anew(mode):
    before = make("cpu", autoreset_mode="NextStep")
    before.reset(seed=3)
    while not play(before, 1)[0][3].any():  # truncated
        pass
    saved = before.save_states()
    ours, other = make("cuda", autoreset_mode=mode), make("cpu", autoreset_mode=mode)
    for env in (ours, other):
        env.reset(seed=0)
    assert_alike(ours.load_states(saved), other.load_states(saved))
    for first, second in zip(play(ours, 12), play(other, 12), strict=True):
        assert_alike(first, second)


@pytest.mark.usefixtures("kernels")
def test_wrong_actions_on_the_host_are_refused():
    env = make("cuda")
    env.reset(seed=0)
    wrong = ([0, 0], [0, 9, 0], [-1, 0, 0], np.zeros(3), torch.zeros(3), torch.zeros(2, dtype=torch.int64))
    for actions in wrong:
        with pytest.raises(UserError, match="actions"):
            env.step(actions)
    assert env.step(np.array([0, 1, 2]))[0].shape == (N, 3, 42, 42)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"batch_size": 2}, "batch_size"), ({"obs_type": "rgb"}, "obs_type"), ({"render_mode": "rgb_array"}, "rendered")],
)
def test_what_a_gpu_does_not_have_is_refused(arguments, word):
    with pytest.raises(UserError, match=word):
        make("cuda", **arguments)


def test_other_devices_are_refused():
    with pytest.raises(UserError, match="device: 'tpu'"):
        make("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="CUDA does not work here"):
            make("cuda")


@pytest.mark.gpu
def test_a_gpu_says_what_the_cpu_says():
    ours, other = make("cuda"), make("cpu")
    ours.reset(seed=0)
    other.reset(seed=0)
    for first, second in zip(play(ours, 60), play(other, 60), strict=True):
        assert first[0].device.type == "cuda"
        np.testing.assert_array_equal(first[0].cpu(), second[0])
        np.testing.assert_array_equal(first[3].cpu(), second[3])
