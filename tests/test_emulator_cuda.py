"""The CUDA kernels: their text run by fibers on the CPU, compiled to a cubin, and, where there is a GPU, run there."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from rl_speed.cli import app
from rl_speed.config import EnvsConfig, load_config
from rl_speed.emulator import nvidia
from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.cuda import CudaConsoles, kernel_parts
from rl_speed.emulator.games import find_game
from rl_speed.emulator.measure import count_turns
from rl_speed.emulator.nvidia import KERNELS, KernelReport, compile_cubin, read_report
from rl_speed.emulator.settings import ConsoleSettings
from rl_speed.emulator.simulated import SimulatedLauncher
from rl_speed.emulator.verify import verify_cuda
from rl_speed.experience.envs.cuda import CudaVectorEnv
from rl_speed.experience.envs.journal import SeedJournal
from rl_speed.experience.envs.native import NativeVectorEnv
from rl_speed.experience.generators.in_process import InProcessGenerator
from rl_speed.experience.policy import EpsilonGreedyPolicy
from rl_speed.system.errors import UserError
from rl_speed.system.stage_timer import StageTimer
from rl_speed.training.fit import fit

SETTINGS = ConsoleSettings(max_frames=107, first_row=10, rows=60, noop_max=4)


def simulated(game, recompile=False, splits=0, **defines):
    generated, usual = kernel_parts(game, recompile)
    return SimulatedLauncher(generated, {**usual, **defines}, splits)


def assert_both_play_alike(game, ours, other, seeds, steps, seed=0):
    """Same observations, results and states; returns how many games ended."""
    first = ours.seed(torch.from_numpy(seeds)).cpu().numpy()
    np.testing.assert_array_equal(first, other.seed(seeds).observation)
    rng = np.random.default_rng(seed)
    ended = 0
    for _ in range(steps):
        actions = rng.integers(len(game.minimal_actions), size=len(seeds))
        ours.step(torch.from_numpy(actions).to(ours.device))
        step = other.step(actions)
        over = step.terminated | step.truncated
        results = np.stack([step.reward, step.lives, step.terminated, step.truncated], axis=1)
        np.testing.assert_array_equal(ours.results.cpu().numpy(), results)
        np.testing.assert_array_equal(ours.observation.cpu().numpy(), step.observation)
        np.testing.assert_array_equal(ours.final_observation.cpu().numpy()[over], step.final_observation[over])
        np.testing.assert_array_equal(ours.state["console"].cpu().numpy(), other.state["console"])
        ended += int(over.sum())
    return ended


def test_simulated_kernels_play_as_the_cpu_does():
    game, seeds = find_game("pong"), np.array([5, 6, 7])
    launcher = simulated(game)
    ours, other = CudaConsoles(game, 3, SETTINGS, launcher), Consoles(game, 3, SETTINGS, recompile=False)
    launcher.take_turns()
    assert assert_both_play_alike(game, ours, other, seeds, 60) == 6
    turns = launcher.take_turns()
    # Three consoles play: a turn is taken by one at least, and together they need fewer turns than one after the other.
    assert 1.0 < turns.processor_lanes <= 3.0
    assert 1.0 < turns.replay_lanes <= 3.0
    saved = ours.save()
    rest = [ours.observation.clone() for _ in range(3) if ours.step(torch.zeros(3, dtype=torch.int64)) is None]
    ours.seed(torch.tensor([1, 1, 1]))
    ours.restore(saved)
    for expected in rest:
        ours.step(torch.zeros(3, dtype=torch.int64))
        assert torch.equal(ours.observation, expected)
    other.close()


# Warps that are not full, games that run out of instructions, whose starts differ, or whose pictures are cut off, a
# cartridge with a state of its own; groups that stay together and groups that fall apart.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("pong", 0),
        ("pong", 1),
        ("tic_tac_toe_3d", 2),
        ("pitfall2", 0),
    ],
)
def test_simulated_warps_play_as_the_cpu_does(name, splits):
    game, count = find_game(name), 35
    ours = CudaConsoles(game, count, SETTINGS, simulated(game, name == "pong", splits))
    other = Consoles(game, count, SETTINGS, threads=2, recompile=name == "pong")
    assert assert_both_play_alike(game, ours, other, 11 + np.arange(count), 30) >= count
    other.close()


def test_a_step_that_nobody_sees_is_the_same_step():
    game = find_game("pong")
    seen, unseen = (CudaConsoles(game, 2, SETTINGS, simulated(game)) for _ in range(2))
    for consoles in (seen, unseen):
        consoles.seed(torch.tensor([3, 4]))
    for action in range(40):
        actions = torch.tensor([action % 6, (action + 1) % 6])
        seen.step(actions)
        unseen.step_unseen(actions)
        assert torch.equal(seen.results, unseen.results)
    ram = [consoles.state["console"][:, -256:-128] for consoles in (seen, unseen)]
    assert torch.equal(*ram)


@pytest.mark.slow
def test_verify_compares_every_frame():
    assert verify_cuda("pong", 80, 0, 3, lambda game, defines: simulated(game, False, **defines)).differences == []

    def other_game(game, defines):
        # Its paddles stop at another place.
        return simulated(game, False, **{**defines, "PADDLE_MOST": 500_000})

    differences = verify_cuda("pong", 400, 0, 3, other_game).differences
    assert differences
    assert "differs between GPU and CPU" in differences[0]


# --- as envs ---


@pytest.mark.slow
def test_the_env_gives_what_the_cpus_does():
    config = EnvsConfig(
        game="breakout", crop_top=10, actions=("NOOP", "RIGHT", "LEFT", "FIRE"), max_episode_frames=150, noop_max=4
    )
    ours = CudaVectorEnv(config, 2, SeedJournal(2, 4, None), simulated(find_game("breakout")))
    other = NativeVectorEnv(config, 2, SeedJournal(2, 4, None), threads=1)
    assert torch.equal(ours.reset(), other.reset())
    rng = np.random.default_rng(1)
    middle = None
    for step in range(90):
        action = torch.from_numpy(rng.integers(ours.num_actions, size=2))
        ours.send(action)
        other.send(action)
        answers = [vars(env.recv()) for env in (ours, other)]
        for name, value in answers[0].items():
            assert torch.equal(value, answers[1][name]), f"{name} of step {step}"
        if step == 50:
            middle = ours.state_dict(), answers[0]["frame"].clone(), other.state_dict()
    assert middle is not None
    ours.reset()
    assert torch.equal(ours.load_state_dict(middle[0]), middle[1])
    other.load_state_dict(middle[2])
    for env in (ours, other):
        env.send(torch.tensor([1, 2]))
    assert all(torch.equal(a, b) for a, b in zip(*(vars(env.recv()).values() for env in (ours, other)), strict=True))
    other.close()
    ours.close()


def test_rollouts_are_those_of_the_cpus_env(tiny_config):
    config = tiny_config(
        envs={"count": 2, "max_episode_frames": 60, "image_height": 42, "image_width": 42, "noop_max": 2},
        actors={"rollout_env_steps": 8},
    )
    envs = (
        CudaVectorEnv(config.envs, 2, SeedJournal(2, 4, None), simulated(find_game("pong"))),
        NativeVectorEnv(config.envs, 2, SeedJournal(2, 4, None), threads=1),
    )
    policies = (EpsilonGreedyPolicy(torch.nn.Identity(), 6, seed=0) for _ in envs)
    ours, other = (
        InProcessGenerator(env, policy, config.envs, config.actors.rollout_env_steps, StageTimer())
        for env, policy in zip(envs, policies, strict=True)
    )
    ends = 0
    for _ in range(5):
        first, second = vars(next(ours)), vars(next(other))
        for name, value in first.items():
            same = torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]
            assert same, name
        ends += len(first["episode_ends"])
    assert ends == 4  # each game is cut off after 15 steps
    envs[1].close()


# --- compiling, and what can be wrong ---


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "recompile"), [("sm_75", False), ("sm_90", True)])
def test_the_source_compiles_to_a_cubin(architecture, recompile):
    pytest.importorskip("cuda.bindings.nvrtc")
    cubin, report = compile_cubin(*kernel_parts(find_game("pong"), recompile), architecture)
    assert cubin[:4] == b"\x7fELF"
    assert [kernel.kernel for kernel in report] == list(KERNELS)
    # Half the registers that there are: as many warps as the source asks for fit.
    assert report[0].registers <= 128
    assert report[0].warps_at_once(1) == 16


def test_the_report_of_ptxas_is_read():
    log = """ptxas info    : Compiling entry function 'run_consoles' for 'sm_90'
ptxas info    : Function properties for run_consoles
ptxas         .     1264 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 168 registers, used 0 barriers, 2264 bytes cumulative stack size
ptxas info    : Function properties for _Z3actR3Envid
ptxas         .     0 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Compiling entry function 'make_frames' for 'sm_90'
ptxas info    : Function properties for make_frames
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers
"""
    assert read_report(log) == [
        KernelReport("run_consoles", 168, 1264, 20),
        KernelReport("make_frames", 40, 0, 0),
    ]
    # 65,536 registers hold 12 warps of 168 each; 8 blocks of 8 warps of 40 fill a multiprocessor.
    assert [kernel.warps_at_once(warps) for kernel, warps in zip(read_report(log), (1, 8), strict=True)] == [12, 48]


def test_impossible_consoles_are_refused():
    game = find_game("pong")
    launcher = simulated(game)
    for count in (0, 65_537):
        with pytest.raises(UserError, match=f"num_envs: {count} consoles cannot be run; give 1 to 65,536"):
            CudaConsoles(game, count, launcher=launcher)
    launcher.free_bytes = lambda: 40_000_000
    with pytest.raises(UserError, match=r"num_envs: 4,096 consoles need \d\.\d GB of GPU memory and 0\.0 GB are free"):
        CudaConsoles(game, 4096, launcher=launcher)


def test_misuse_is_refused():
    game = find_game("pong")
    consoles = CudaConsoles(game, 2, SETTINGS, simulated(game))
    with pytest.raises(UserError, match=r"seeds: \[1, 2, 3\] must be 2 numbers"):
        consoles.seed(torch.tensor([1, 2, 3]))
    consoles.seed(torch.tensor([1, 2]))
    for actions in (torch.tensor([1]), torch.tensor([1, 2], dtype=torch.int32), torch.zeros(4, dtype=torch.int64)[::2]):
        with pytest.raises(UserError, match=r"actions: a torch\.int.* cannot be played; give a contiguous int64 one"):
            consoles.step(actions)
    saved = consoles.save()
    for wrong in ({"grey": saved["grey"][:1]}, {"fingerprint": saved["fingerprint"].flip(0)}):
        with pytest.raises(UserError, match="emulator state: it was saved by another version"):
            consoles.restore({**saved, **wrong})
    # What is no action is none.
    consoles.step(torch.tensor([-5, 10**12]))
    left = consoles.observation.clone()
    consoles.restore(saved)
    consoles.step(torch.tensor([0, 0]))
    assert torch.equal(consoles.observation, left)


@pytest.mark.slow
def test_turns_are_counted():
    count = count_turns(find_game("pong"), recompile=False, warm_up_steps=40, steps=2)
    # Together takes longer than alone, and less long than one after the other.
    assert count.alone <= count.together < 32 * count.alone
    assert count.replay_alone <= count.replay_together < 32 * count.replay_alone
    assert 16 < count.lanes <= 32


def test_the_command_lists_kernels(monkeypatch):
    report = [KernelReport("run_consoles", 128, 1400, 0), KernelReport("make_frames", 40, 0, 0)]
    monkeypatch.setattr(nvidia, "compile_cubin", lambda generated, defines, architecture: (b"", report))
    result = CliRunner().invoke(app, ["emulator", "kernels", "pong", "--architecture", "sm_90"])
    assert result.exit_code == 0
    assert result.output.count("run_consoles") == 4
    assert "1,400 B" in result.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA works here")
def test_without_cuda_one_sentence_says_so():
    with pytest.raises(UserError, match="device: CUDA does not work here"):
        CudaConsoles(find_game("pong"), 4)


# --- on a GPU ---


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["pong", "tic_tac_toe_3d"])
def test_consoles_on_the_gpu_equal_those_on_the_cpu(name):
    game, count = find_game(name), 100
    ours, other = CudaConsoles(game, count, SETTINGS), Consoles(game, count, SETTINGS, threads=8)
    assert assert_both_play_alike(game, ours, other, np.arange(count), 100) >= count
    other.close()


@pytest.mark.gpu
def test_a_captured_step_equals_a_launched_one():
    game, count = find_game("pong"), 256
    captured, launched = CudaConsoles(game, count, SETTINGS), CudaConsoles(game, count, SETTINGS)
    actions = torch.zeros(count, dtype=torch.int64, device="cuda")
    for consoles in (captured, launched):
        consoles.seed(torch.arange(count))
        consoles.step(actions)
    graph = torch.cuda.CUDAGraph()
    saved = captured.save()
    with torch.cuda.graph(graph):
        captured.step(actions)
    captured.restore(saved)
    for _ in range(1000):
        actions.copy_(torch.randint(6, (count,)))
        graph.replay()
        launched.step(actions)
        assert torch.equal(captured.observation, launched.observation)
        assert torch.equal(captured.results, launched.results)
    assert torch.equal(captured.state["console"], launched.state["console"])


@pytest.mark.gpu
def test_a_run_learns_from_games_on_the_gpu(tmp_path):
    changes = {
        "envs.count": 64, "replay.capacity_env_steps": 20_000, "replay.prefill_env_steps": 4000,
        "update.batch_size": 256, "stop.max_env_steps": 12_000, "stop.confirm_episodes": 0,
        "logging.directory": str(tmp_path), "logging.progress_bar": "false",
    }  # fmt: skip
    config = load_config("cuda", [f"{name}={value}" for name, value in changes.items()])
    result = fit(config, "cuda").result
    assert result["env_steps"] >= 12_000
    assert result["gradient_steps"] > 50
