"""N consoles of one game on a CUDA device: the same source as on the CPU, compiled by NVRTC when it is first needed.

NVRTC and the driver are reached through NVIDIA's cuda-bindings, which torch's CUDA build brings along.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_speed.emulator.compiler import cache_folder, source_texts
from rl_speed.emulator.consoles import MAX_CONSOLES
from rl_speed.emulator.games import Game, read_rom
from rl_speed.emulator.instructions import interpreter
from rl_speed.emulator.settings import ConsoleSettings, c_settings
from rl_speed.errors import UserError

KERNELS = ("structure_sizes", "make_axes", "seed_consoles", "step_frames", "start_episodes", "make_frames")
_OPTIONS = ("--std=c++17", "--fmad=false", "-DLOG_ENTRIES=64")
_THREADS = 64  # consoles per block
_FRAME_THREADS = 256  # lanes that make one console's observation


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


def _nvrtc() -> Any:
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        raise UserError("The CUDA emulator needs cuda-bindings and NVRTC: run `pip install 'rl-speed[cuda]'`.")
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError) as error:
        raise UserError(f"The CUDA emulator needs NVRTC ({error}): run `pip install 'rl-speed[cuda]'`.") from error
    return nvrtc


def _checked(result: Any, what: str) -> Any:
    error, *values = result
    if int(error) != 0:
        raise UserError(f"CUDA: {what} failed with {error!r}; see `rl-speed doctor` for the versions here.")
    return values[0] if len(values) == 1 else values


def compile_cubin(game: Game, architecture: str) -> tuple[bytes, list[KernelReport]]:
    """The emulator for a game as a cubin, compiled now or found in the cache. It needs NVRTC, and no GPU.

    Args:
        game: the game.
        architecture: such as sm_90.

    Raises:
        UserError: NVRTC is missing or fails.
    """
    nvrtc = _nvrtc()
    version = _checked(nvrtc.nvrtcVersion(), "asking for NVRTC's version")
    headers = {**source_texts(), "interpreter.inc": interpreter(), "rule.inc": game.rule_source()}
    main = headers.pop("kernels.cu")
    options = [*_OPTIONS, f"--gpu-architecture={architecture}", "--ptxas-options=-v"]
    options += [f"-D{name}={value}" for name, value in game.defines().items()]
    parts = [str(version), *options, main, *(f"{name}\0{text}" for name, text in sorted(headers.items()))]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    cubin_path, log_path = (cache_folder() / f"{digest}.{kind}" for kind in ("cubin", "log"))
    if not (cubin_path.exists() and log_path.exists()):
        cubin, log = _compile(nvrtc, main, headers, options)
        try:
            cubin_path.parent.mkdir(parents=True, exist_ok=True)
            for path, content in ((log_path, log.encode()), (cubin_path, cubin)):
                temporary = path.with_suffix(f".{os.getpid()}")
                temporary.write_bytes(content)
                os.replace(temporary, path)
        except OSError as error:
            raise UserError(
                f"cache: {cubin_path.parent} cannot be written ({error.strerror}); set XDG_CACHE_HOME to a folder "
                "that can."
            ) from error
    return cubin_path.read_bytes(), read_report(log_path.read_text())


def _compile(nvrtc: Any, main: str, headers: Mapping[str, str], options: list[str]) -> tuple[bytes, str]:
    names = [name.encode() for name in headers]
    texts = [text.encode() for text in headers.values()]
    program = _checked(
        nvrtc.nvrtcCreateProgram(main.encode(), b"kernels.cu", len(texts), texts, names), "making the program"
    )
    encoded = [option.encode() for option in options]
    (error,) = nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)
    log = b" " * _checked(nvrtc.nvrtcGetProgramLogSize(program), "reading NVRTC's log")
    nvrtc.nvrtcGetProgramLog(program, log)
    text = log.decode(errors="replace").rstrip("\0")
    if int(error) != 0:
        raise UserError(f"NVRTC cannot compile the emulator; install a newer one. It says: {text.strip()[:600]}")
    cubin = b" " * _checked(nvrtc.nvrtcGetCUBINSize(program), "reading the cubin")
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
        found = pattern.search(part)
        if found is not None and found[1] in KERNELS:
            stack, stores, loads, registers = (int(number) for number in found.groups()[1:])
            reports.append(KernelReport(found[1], registers, stack, stores + loads))
    return sorted(reports, key=lambda report: KERNELS.index(report.kernel))


class Arrays(ctypes.Structure):
    """Arrays of source/kernels.cu."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("console", "generators", "pictures", "grey", "episodes", "rom")),
        *((name, ctypes.c_void_p) for name in ("settings", "columns", "lines", "frames", "held")),
        ("captured", ctypes.c_void_p),
        ("consoles", ctypes.c_int),
        ("usual_height", ctypes.c_int),
    ]


class CudaConsoles:
    """N consoles on a CUDA device. Every tensor stays there; `step` is four launches on torch's current stream.

    Args:
        game: the game.
        num_consoles: N, 1 to 65,536.
        settings: how it is played.
        device: a CUDA device.

    Raises:
        UserError: a number of consoles or a setting that cannot be, too little memory, or no NVRTC.
    """

    def __init__(
        self, game: Game, num_consoles: int, settings: ConsoleSettings | None = None, device: str = "cuda"
    ) -> None:
        if not 1 <= num_consoles <= MAX_CONSOLES:
            raise UserError(f"num_envs: {num_consoles} consoles cannot be run; give 1 to {MAX_CONSOLES:,}.")
        if not torch.cuda.is_available():
            raise UserError("device: CUDA does not work here; use --device cpu, or see `rl-speed doctor`.")
        _nvrtc()  # says what is missing, if anything is
        from cuda.bindings import driver

        self._driver = driver
        self.game = game
        self.num_consoles = num_consoles
        self.settings = settings or ConsoleSettings()
        self.device = torch.device(device)
        major, minor = torch.cuda.get_device_capability(self.device)
        cubin, self.report = compile_cubin(game, f"sm_{major}{minor}")
        # Modules and launches belong to the context that is current.
        with torch.cuda.device(self.device):
            torch.zeros(1, device=self.device)
            self._module = _checked(driver.cuModuleLoadData(cubin), "loading the emulator")
            self._kernels = {
                name: _checked(driver.cuModuleGetFunction(self._module, name.encode()), f"finding {name}")
                for name in KERNELS
            }
            self._allocate()

    def _tensor(self, *shape: int, dtype: torch.dtype = torch.uint8) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)

    def _allocate(self) -> None:
        n = self.num_consoles
        sizes = self._tensor(8, dtype=torch.int32)
        self._launch("structure_sizes", 1, 1, [sizes])
        console, generators, picture, episode, settings_bytes, frame, axis, arrays = sizes.tolist()
        assert arrays == ctypes.sizeof(Arrays), "Arrays differ between cuda.py and source/kernels.cu"
        settings, names = c_settings(self.game, self.settings)
        self._rows = settings.rows
        assert settings_bytes == ctypes.sizeof(settings), "Settings differ between consoles.py and source/observe.h"
        self.action_names = names
        needed = n * (console + generators + 4 * picture + episode + frame + 2 * self._rows * self.settings.image_width)
        free, _ = torch.cuda.mem_get_info(self.device)
        if needed > free:
            raise UserError(
                f"num_envs: {n:,} consoles need {needed / 1e9:.1f} GB of GPU memory and {free / 1e9:.1f} GB are free; "
                f"give at most {int(n * free / needed):,}."
            )
        self.state = {
            "console": self._tensor(n, console),
            "generators": self._tensor(n, generators),
            "pictures": self._tensor(n, 2 * picture),
            "grey": self._tensor(n, picture),
            "episode": self._tensor(n, episode),
        }
        rom = np.frombuffer(read_rom(self.game), dtype=np.uint8).copy()
        raw = np.frombuffer(bytes(settings), dtype=np.uint8).copy()
        self._fixed = [
            torch.from_numpy(rom).to(self.device), torch.from_numpy(raw).to(self.device), self._tensor(axis),
            self._tensor(2 * axis), self._tensor(n, frame), self._tensor(n, picture),
            self._tensor(n, dtype=torch.int32),
        ]  # fmt: skip
        usual = self.game.facts["height"]
        pointers = [tensor.data_ptr() for tensor in (*self.state.values(), *self._fixed)]
        self._arrays = Arrays(*pointers, n, usual)
        size = (self.settings.image_width, self.settings.image_height)
        self._launch("make_axes", 1, 1, [self._fixed[2], self._fixed[3], *size, usual])
        shape = (n, self._rows, self.settings.image_width)
        self.observation, self.final_observation = self._tensor(*shape), self._tensor(*shape)
        self.results = self._tensor(n, 4, dtype=torch.int32)

    def _launch(self, name: str, blocks: int, threads: int, arguments: list[Any]) -> None:
        values: list[Any] = []
        for argument in arguments:
            if isinstance(argument, Tensor):
                values.append(ctypes.c_void_p(argument.data_ptr()))
            elif argument is None:
                values.append(ctypes.c_void_p(0))
            else:
                values.append(argument if isinstance(argument, Arrays) else ctypes.c_int(argument))
        packed = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        stream = torch.cuda.current_stream(self.device).cuda_stream
        with torch.cuda.device(self.device):
            _checked(
                self._driver.cuLaunchKernel(
                    self._kernels[name], blocks, 1, 1, threads, 1, 1, 0, stream, ctypes.addressof(packed), 0
                ),
                f"launching {name}",
            )

    def _launch_all(self, name: str, arguments: list[Any]) -> None:
        self._launch(name, -(-self.num_consoles // _THREADS), _THREADS, [self._arrays, *arguments])

    def _make_frames(self, observation: Tensor, only_ended: bool) -> None:
        arguments = [self._arrays, observation, self.results, int(only_ended)]
        self._launch("make_frames", self.num_consoles, _FRAME_THREADS, arguments)

    def seed(self, seeds: Tensor) -> Tensor:
        """Loads the ROM anew in every console and starts its first game.

        Args:
            seeds: int64 [N], each from 0 to 2^32 - 1.

        Returns:
            uint8 [N, H, W], the first frames; memory that the next step writes to.
        """
        words = seeds.to(self.device, torch.int32).contiguous()  # the low 32 bits
        self._launch_all("seed_consoles", [words, None, self.results])
        self._make_frames(self.observation, only_ended=False)
        return self.observation

    def step(self, actions: Tensor) -> None:
        """One step of every console; reads int64 [N] actions, writes `observation`, `final_observation` and `results`.

        `results` is int32 [N, 4]: reward, lives, terminated, truncated. `final_observation` holds the last observation
        of the game in which one ended, and this step's elsewhere.
        """
        assert actions.dtype == torch.int64, actions.dtype
        assert actions.device == self.results.device, actions.device
        assert actions.is_contiguous()
        self._launch_all("step_frames", [actions, self.results, 1])
        self._make_frames(self.observation, only_ended=False)
        self.final_observation.copy_(self.observation)
        self._launch_all("start_episodes", [self.results])
        self._make_frames(self.observation, only_ended=True)

    def save(self) -> dict[str, Tensor]:
        """A copy of everything, to be given to `restore`; uint8 [N, bytes] each."""
        return {name: tensor.clone() for name, tensor in self.state.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Brings a saved state back."""
        for name, tensor in self.state.items():
            tensor.copy_(state[name])
