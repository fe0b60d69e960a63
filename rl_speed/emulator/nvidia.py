"""NVIDIA's compiler and driver: the emulator's CUDA source as a cubin, and its kernels on a device.

Both are reached through cuda-bindings, which torch's CUDA build brings along. This is the only file that imports it.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from rl_speed.emulator.compiler import source_texts
from rl_speed.system.code_cache import cache_folder, keep, mark_used, trim_cache
from rl_speed.system.errors import UserError

KERNELS = ("run_consoles", "make_frames", "structure_sizes", "make_axes")
_KERNEL_BYTES = 512 << 20  # local memory of all threads that a large GPU can hold, and code
_OPTIONS = ("--std=c++17", "--fmad=false")
# Lanes of a warp must be able to wait for some of the others, and NVRTC 13 compiles for no older GPUs.
_LEAST_CAPABILITY = (7, 5)
# Of a multiprocessor of sm_80 and sm_90 (CUDA C++ programming guide, table "Technical specifications").
_REGISTERS, _BLOCKS, _WARPS = 65_536, 32, 64


@dataclass(frozen=True)
class KernelReport:
    """What ptxas says of one kernel.

    Attributes:
        kernel: its name.
        registers: per thread.
        stack_bytes: of local memory per thread, the console's copy included.
        spill_bytes: stores and loads of registers that did not fit.
    """

    kernel: str
    registers: int
    stack_bytes: int
    spill_bytes: int

    def warps_at_once(self, warps_per_block: int) -> int:
        """Warps of this kernel that fit on a multiprocessor, of 64 that it can hold."""
        per_warp = -(-self.registers * 32 // 256) * 256  # registers are given out by 256
        blocks = min(_BLOCKS, _REGISTERS // per_warp // warps_per_block)
        return min(_WARPS, blocks * warps_per_block)


def _nvrtc() -> Any:
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        raise UserError("The CUDA emulator needs cuda-bindings and NVRTC: run `pip install 'rl-speed[cuda]'`.")
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError) as error:
        raise UserError(f"The CUDA emulator needs NVRTC ({error}): run `pip install 'rl-speed[cuda]'`.") from error
    return nvrtc


def nvrtc_version() -> str | None:
    """Of the NVRTC that would compile the kernels; None if there is none."""
    try:
        return ".".join(str(part) for part in _checked(_nvrtc().nvrtcVersion(), "asking for NVRTC's version"))
    except UserError:
        return None


def check_cuda() -> None:
    """Raises UserError if CUDA does not work here, or what compiles for it is missing."""
    if not torch.cuda.is_available():
        raise UserError("device: CUDA does not work here; use --device cpu, or see `rl-speed doctor`.")
    _nvrtc()


def _checked(result: Any, what: str) -> Any:
    error, *values = result
    if int(error) != 0:
        raise UserError(f"CUDA: {what} failed with {error!r}; see `rl-speed doctor` for the versions here.")
    return values[0] if len(values) == 1 else values


def compile_cubin(
    generated: Mapping[str, str], defines: Mapping[str, int], architecture: str
) -> tuple[bytes, list[KernelReport]]:
    """The emulator as a cubin, compiled now or found in the cache. It needs NVRTC, and no GPU.

    Args:
        generated: files made for the game, such as rule.inc, by name.
        defines: macros.
        architecture: such as sm_90.

    Raises:
        UserError: NVRTC is missing or fails, or the cache cannot be written.
    """
    nvrtc = _nvrtc()
    version = _checked(nvrtc.nvrtcVersion(), "asking for NVRTC's version")
    headers = {name: text for name, text in source_texts().items() if name.endswith((".h", ".cu"))} | dict(generated)
    main = headers.pop("kernels.cu")
    options = [*_OPTIONS, f"--gpu-architecture={architecture}", "--ptxas-options=-v"]
    options += [f"-D{name}={value}" for name, value in defines.items()]
    parts = [str(version), *options, main, *(f"{name}\0{text}" for name, text in sorted(headers.items()))]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    cubin_path, log_path = (cache_folder() / f"{digest}.{kind}" for kind in ("cubin", "log"))
    if not (cubin_path.exists() and log_path.exists()):
        cubin, log = _compile(nvrtc, main, headers, options)
        keep(log_path, log.encode())
        keep(cubin_path, cubin)
        trim_cache(cubin_path)
    for path in (cubin_path, log_path):
        mark_used(path)
    return cubin_path.read_bytes(), read_report(log_path.read_text())


def _buffer(size: int) -> bytes:
    # NVRTC writes into it: it must not be one of the bytes of length one, which Python shares.
    return b"\0" * max(size, 2)


def _compile(nvrtc: Any, main: str, headers: Mapping[str, str], options: list[str]) -> tuple[bytes, str]:
    names = [name.encode() for name in headers]
    texts = [text.encode() for text in headers.values()]
    program = _checked(
        nvrtc.nvrtcCreateProgram(main.encode(), b"kernels.cu", len(texts), texts, names), "making the program"
    )
    encoded = [option.encode() for option in options]
    (error,) = nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)
    log = _buffer(_checked(nvrtc.nvrtcGetProgramLogSize(program), "reading NVRTC's log"))
    nvrtc.nvrtcGetProgramLog(program, log)
    text = log.decode(errors="replace").rstrip("\0")
    if int(error) != 0:
        raise UserError(f"NVRTC cannot compile the emulator; install a newer one. It says: {text.strip()[:600]}")
    cubin = _buffer(_checked(nvrtc.nvrtcGetCUBINSize(program), "reading the cubin"))
    nvrtc.nvrtcGetCUBIN(program, cubin)
    nvrtc.nvrtcDestroyProgram(program)
    return cubin, text


def read_report(log: str) -> list[KernelReport]:
    """What ptxas wrote about the kernels."""
    pattern = re.compile(
        r"Function properties for (\w+)\s.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
        r".*?Used (\d+) registers",
        re.DOTALL,
    )
    reports = []
    for part in log.split("Compiling entry function")[1:]:
        match = pattern.search(part)
        if match is not None and match[1] in KERNELS:
            stack, stores, loads, registers = (int(number) for number in match.groups()[1:])
            # Functions that were not inlined spill registers of their own.
            inner = sum(int(n) for pair in re.findall(r"(\d+) bytes spill stores, (\d+)", part) for n in pair)
            reports.append(KernelReport(match[1], registers, stack, max(stores + loads, inner)))
    return sorted(reports, key=lambda report: KERNELS.index(report.kernel))


class DriverLauncher:
    """Kernels of a cubin on torch's current stream of a CUDA device.

    Args:
        generated, defines: see compile_cubin.
        device: a CUDA device.

    Raises:
        UserError: CUDA does not work here, or NVRTC is missing.
    """

    def __init__(self, generated: Mapping[str, str], defines: Mapping[str, int], device: torch.device) -> None:
        check_cuda()
        major, minor = torch.cuda.get_device_capability(device)
        if (major, minor) < _LEAST_CAPABILITY:
            raise UserError(
                f"device: {torch.cuda.get_device_name(device)} has compute capability {major}.{minor} and the emulator "
                f"needs {'.'.join(map(str, _LEAST_CAPABILITY))} or more; use --device cpu or envs.backend = native."
            )
        cubin, self.report = compile_cubin(generated, defines, f"sm_{major}{minor}")
        from cuda.bindings import driver

        self._driver = driver
        self.device = device
        # Modules and launches belong to the context that is current.
        with torch.cuda.device(device):
            torch.zeros(1, device=device)
            self._context = _checked(driver.cuCtxGetCurrent(), "finding the context")
            self._module = _checked(driver.cuModuleLoadData(cubin), "loading the emulator")
            self._kernels = {
                name: _checked(driver.cuModuleGetFunction(self._module, name.encode()), f"finding {name}")
                for name in KERNELS
            }

    def launch(self, kernel: str, blocks: int, threads: int, arguments: Any) -> None:
        """Queues a kernel.

        Args:
            kernel: its name.
            blocks, threads: how many blocks of how many threads.
            arguments: ctypes array of pointers to the arguments.
        """
        stream = torch.cuda.current_stream(self.device).cuda_stream
        with torch.cuda.device(self.device):
            # A thread that has not used CUDA yet has no context.
            _checked(self._driver.cuCtxSetCurrent(self._context), "choosing the context")
            result = self._driver.cuLaunchKernel(
                self._kernels[kernel], blocks, 1, 1, threads, 1, 1, 0, stream, ctypes.addressof(arguments), 0
            )
        _checked(result, f"launching {kernel}")

    def free_bytes(self) -> int:
        """Memory that can be had: what torch keeps unused counts, what the kernels need for themselves does not."""
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return max(0, int(torch.cuda.mem_get_info(self.device)[0]) + kept - _KERNEL_BYTES)
