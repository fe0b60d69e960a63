"""The CUDA kernels: their text run by fibers on the CPU and, where there is a GPU, run there."""

import numpy as np
import pytest
import torch

from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.cuda import CudaConsoles, blocks_and_lanes
from rl_speed.emulator.games import find_game
from rl_speed.system.errors import UserError
from tests.emulator.factory import SETTINGS, simulated


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
        columns = (step.reward, step.lives, step.terminated, step.truncated)
        results = np.stack(
            [
                *columns,
                step.frame_number,
                step.episode_frame_number,
                step.ended,
                step.final_lives,
                step.final_frame_number,
                step.final_episode_frame_number,
            ],
            axis=1,
        )
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
    launcher.take_divergence()
    assert assert_both_play_alike(game, ours, other, seeds, 60) == 6
    divergence = launcher.take_divergence()
    # Three consoles play: a turn is taken by one at least, and together they need fewer turns than one after the other.
    assert 1.0 < divergence.processor_lanes <= 3.0
    assert 1.0 < divergence.replay_lanes <= 3.0
    saved = ours.save()
    rest = [ours.observation.clone() for _ in range(3) if ours.step(torch.zeros(3, dtype=torch.int64)) is None]
    ours.seed(torch.tensor([1, 1, 1]))
    ours.restore(saved)
    for expected in rest:
        ours.step(torch.zeros(3, dtype=torch.int64))
        assert torch.equal(ours.observation, expected)
    other.close()


def test_small_blocks_play_as_the_cpu_does():
    game, seeds = find_game("pong"), 3 + np.arange(9)
    ours = CudaConsoles(game, 9, SETTINGS, simulated(game, LANES=4))
    other = Consoles(game, 9, SETTINGS, recompile=False)
    assert assert_both_play_alike(game, ours, other, seeds, 30) >= 9
    other.close()


@pytest.mark.parametrize(
    ("consoles", "lanes", "blocks"),
    [
        (1, 4, 8),
        (2112, 4, 8),
        (2113, 8, 8),
        (4096, 8, 8),
        (16_384, 32, 8),
        (33_792, 32, 8),
        (33_793, 32, 16),
        (65_536, 32, 16),
    ],
)
def test_few_consoles_share_a_block_while_schedulers_are_idle(consoles, lanes, blocks):
    assert blocks_and_lanes(consoles, 132) == {"BLOCKS_AT_ONCE": blocks, "LANES": lanes}


# Warps that are not full, games that run out of instructions, whose starts differ, or whose pictures are cut off, a
# cartridge with a state of its own; groups that stay together and groups that fall apart.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("pong", 0),
        ("pong", 1),
        pytest.param("tic_tac_toe_3d", 2, marks=pytest.mark.exhaustive),
        pytest.param("pitfall2", 0, marks=pytest.mark.exhaustive),
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
    for wrong in ({"planes": saved["planes"][:1]}, {"fingerprint": saved["fingerprint"].flip(0)}):
        with pytest.raises(UserError, match="emulator state: it was saved by another version"):
            consoles.restore({**saved, **wrong})
    # What is no action is none.
    consoles.step(torch.tensor([-5, 10**12]))
    left = consoles.observation.clone()
    consoles.restore(saved)
    consoles.step(torch.tensor([0, 0]))
    assert torch.equal(consoles.observation, left)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA works here")
def test_without_cuda_one_sentence_says_so():
    with pytest.raises(UserError, match="device: CUDA does not work here"):
        CudaConsoles(find_game("pong"), 4)


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
