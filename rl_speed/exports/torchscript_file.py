"""A network as a TorchScript program, which `torch.jit.load` and libtorch run without rl_speed.

Torch 2.13 calls torch.jit deprecated; it works there.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from rl_speed.exports.agent import TrainedAgent

TORCHSCRIPT_FILE = "model.pt"
FACTS_FILE = "rl_speed.json"  # inside of it
_DEBUG_SUFFIX = ".debug_pkl"  # lines of source and where on this machine they stand, for error messages


def write_torchscript(agent: TrainedAgent, path: Path) -> None:
    """Writes the network as it is traced on two observations, with the facts of config.json in it as a file.

    Traced and not scripted: a script would have to express what forward says of other devices and of autocast. What
    torch adds about the source is left out.

    Args:
        agent: with the network.
        path: file to write.

    Raises:
        OSError: it cannot be written.
    """
    observation = torch.zeros((2, *agent.config.envs.observation_shape), dtype=torch.uint8)
    with torch.no_grad():
        program = torch.jit.trace(agent.network, observation, check_trace=False)  # type: ignore[no-untyped-call]
    whole = io.BytesIO()
    torch.jit.save(program, whole, _extra_files={FACTS_FILE: json.dumps(agent.describe())})
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as kept:
        for name in archive.namelist():
            if not name.endswith(_DEBUG_SUFFIX):
                kept.writestr(zipfile.ZipInfo(name), archive.read(name))


def read_torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    """The program as a function."""
    program: Callable[[Tensor], Tensor] = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return program
