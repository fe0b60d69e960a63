"""What this machine has: processor, memory, accelerator, versions. Cores that may be used are counted in cores.py."""

from __future__ import annotations

import functools
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from rl_speed.system.cores import usable_cores
from rl_speed.system.memory import total_memory_bytes

PACKAGES = ("rl-speed", "torch", "pytorch-lightning", "torchmetrics", "gymnasium", "ale-py", "numpy")
# What decides how fast a network is computed, of all that a processor can say of itself.
INSTRUCTION_SETS = (
    "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
    "asimd", "bf16", "sve", "svebf16",
)  # fmt: skip


@functools.cache
def has_cuda() -> bool:
    """Whether a CUDA device works, not only whether one is listed."""
    import torch

    if not torch.cuda.is_available():
        return False
    try:
        return float(torch.ones(1, device="cuda").sum()) == 1.0
    except RuntimeError:
        return False


def gpu_names() -> list[str]:
    """Names of the CUDA devices that are listed."""
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def versions() -> dict[str, str]:
    """Python's version and those of the packages that matter to a result."""
    return {"python": platform.python_version(), **{name: version_of(name) or "not installed" for name in PACKAGES}}


def version_of(package: str) -> str | None:
    """Of an installed package; None: it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def read_cpu_facts(path: Path) -> dict[str, str]:
    """The first processor's lines of Linux's description, by name; empty elsewhere."""
    try:
        block = path.read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


@functools.cache
def _cpu_facts() -> dict[str, str]:
    return read_cpu_facts(Path("/proc/cpuinfo"))


def processor_flags() -> str:
    """Every feature that the processor says it has, as the system writes them; empty where it does not tell."""
    facts = _cpu_facts()
    return facts.get("flags", facts.get("Features", ""))


def processor() -> dict[str, Any]:
    """Name, family, model and instruction sets: one name (such as "AMD EPYC") may stand for several processors."""
    facts, flags = _cpu_facts(), set(processor_flags().split())
    return {
        "name": facts.get("model name") or platform.processor() or platform.machine(),
        "family": facts.get("cpu family", facts.get("CPU architecture")),
        "model": facts.get("model", facts.get("CPU part")),
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in flags],
    }


def processor_text() -> str:
    """The processor in one line."""
    facts = processor()
    parts = [facts["name"]]
    if facts["family"] and facts["model"]:
        parts.append(f"family {facts['family']} model {facts['model']}")
    return ", ".join([*parts, " ".join(facts["instruction_sets"]) or "instruction sets unknown"])


def machine() -> dict[str, Any]:
    """What a result has to say about where it was measured."""
    facts, cores = processor(), usable_cores()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": facts["name"],
        "processor_family": facts["family"],
        "processor_model": facts["model"],
        "instruction_sets": facts["instruction_sets"],
        "cores": cores.count,
        "physical_cores": cores.physical,
        "memory_bytes": total_memory_bytes(),
        "gpus": gpu_names(),
    }
