"""NVIDIA's compiler: a cubin without a GPU, and what ptxas says of it."""

import pytest

from rl_speed.emulator.cuda import kernel_parts
from rl_speed.emulator.games import find_game
from rl_speed.emulator.nvidia import KERNELS, KernelReport, compile_cubin, read_report


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
