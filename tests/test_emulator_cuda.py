"""The CUDA kernels: their text as loops on the CPU, compiled to a cubin, and, where there is a GPU, run."""

import ctypes

import numpy as np
import pytest
import torch

from rl_speed.emulator.compiler import compile_library
from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.cuda import KERNELS, Arrays, CudaConsoles, compile_cubin, read_report
from rl_speed.emulator.games import find_game, read_rom
from rl_speed.emulator.instructions import interpreter
from rl_speed.emulator.settings import ConsoleSettings, c_settings
from rl_speed.errors import UserError

SETTINGS = ConsoleSettings(max_frames=407, first_row=10, rows=60)


class HostKernels:
    """CudaConsoles' arrays in main memory, and the kernels as loops."""

    def __init__(self, game, count, settings):
        self.library = compile_library(
            {"interpreter.inc": interpreter(), "rule.inc": game.rule_source()},
            {**game.defines(), "LOG_ENTRIES": 64},
            main="host_kernels.cpp",
        )
        sizes = (ctypes.c_int * 8)()
        self.library.kernels_sizes(sizes)
        console, generators, picture, episode, settings_bytes, frame, axis, arrays = sizes
        c, _ = c_settings(game, settings)
        assert settings_bytes == ctypes.sizeof(c)
        assert arrays == ctypes.sizeof(Arrays)
        rom = np.frombuffer(read_rom(game), dtype=np.uint8).copy()
        self.memory = [
            np.zeros(count * console, np.uint8), np.zeros(count * generators, np.uint8),
            np.zeros(count * 2 * picture, np.uint8), np.zeros(count * picture, np.uint8),
            np.zeros(count * episode, np.uint8), rom, np.frombuffer(bytes(c), np.uint8).copy(),
            np.zeros(axis, np.uint8), np.zeros(2 * axis, np.uint8), np.zeros(count * frame, np.uint8),
            np.zeros(count * picture, np.uint8), np.zeros(count, np.int32),
        ]  # fmt: skip
        height = game.facts["height"]
        pointer = [ctypes.c_void_p(array.ctypes.data) for array in self.memory]
        self.arrays = Arrays(*[array.ctypes.data for array in self.memory], count, height)
        self.library.kernels_axis(pointer[7], 160, settings.image_width, 1)
        for number, pixels in enumerate((height, 250 if height == 210 else height)):
            place = ctypes.c_void_p(self.memory[8].ctypes.data + number * axis)
            self.library.kernels_axis(place, pixels, settings.image_height, 0)
        self.observation = np.zeros((count, settings.rows, settings.image_width), np.uint8)
        self.final = np.zeros_like(self.observation)
        self.results = np.zeros((count, 4), np.int32)

    def call(self, function, values, *outputs):
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (values, *outputs, self.results)]
        getattr(self.library, function)(ctypes.byref(self.arrays), *pointers)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pong", "tic_tac_toe_3d"])
def test_the_kernels_compute_what_the_cpu_backend_does(name):
    game = find_game(name)
    ours = HostKernels(game, 3, SETTINGS)
    other = Consoles(game, 3, SETTINGS, recompile=False)
    seeds = np.array([5, 6, 7])
    ours.call("kernels_seed", seeds.astype(np.uint32), ours.observation)
    np.testing.assert_array_equal(ours.observation, other.seed(seeds).observation)
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(220):
        actions = rng.integers(len(game.minimal_actions), size=3)
        ours.call("kernels_step", actions, ours.observation, ours.final)
        step = other.step(actions)
        np.testing.assert_array_equal(ours.observation, step.observation)
        np.testing.assert_array_equal(ours.results[:, 0], step.reward)
        np.testing.assert_array_equal(ours.results[:, 1], step.lives)
        np.testing.assert_array_equal(ours.results[:, 2:], np.stack([step.terminated, step.truncated], axis=1))
        over = step.terminated | step.truncated
        np.testing.assert_array_equal(ours.final[over], step.final_observation[over])
        ended += int(over.sum())
    assert ended >= 6
    other.close()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_the_source_compiles_to_a_cubin(architecture):
    pytest.importorskip("cuda.bindings.nvrtc")
    cubin, report = compile_cubin(find_game("pong"), architecture)
    assert cubin[:4] == b"\x7fELF"
    assert [kernel.kernel for kernel in report] == list(KERNELS)
    assert all(0 < kernel.registers <= 255 for kernel in report)


def test_the_report_of_ptxas_is_read():
    log = """ptxas info    : Compiling entry function 'step_frames' for 'sm_90'
ptxas info    : Function properties for step_frames
ptxas         .     2264 bytes stack frame, 1292 bytes spill stores, 1684 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 2264 bytes cumulative stack size
ptxas info    : Function properties for _Z3actR3Envid
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Compiling entry function 'make_frames' for 'sm_90'
ptxas info    : Function properties for make_frames
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers
"""
    first, second = read_report(log)
    assert (first.kernel, first.registers, first.stack_bytes, first.spill_bytes) == ("step_frames", 255, 2264, 2976)
    assert (second.kernel, second.registers, second.spill_bytes) == ("make_frames", 40, 0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA works here")
def test_without_cuda_one_sentence_says_so():
    with pytest.raises(UserError, match="device: CUDA does not work here"):
        CudaConsoles(find_game("pong"), 4)


@pytest.mark.gpu
def test_consoles_on_the_gpu_equal_those_on_the_cpu():
    game, count = find_game("pong"), 64
    ours, other = CudaConsoles(game, count, SETTINGS), Consoles(game, count, SETTINGS, threads=8)
    seeds = np.arange(count)
    first = ours.seed(torch.from_numpy(seeds)).cpu().numpy()
    np.testing.assert_array_equal(first, other.seed(seeds).observation)
    rng = np.random.default_rng(0)
    for _ in range(300):
        actions = rng.integers(len(game.minimal_actions), size=count)
        ours.step(torch.from_numpy(actions).cuda())
        step = other.step(actions)
        np.testing.assert_array_equal(ours.observation.cpu().numpy(), step.observation)
        np.testing.assert_array_equal(ours.results[:, 0].cpu().numpy(), step.reward)
    other.close()
