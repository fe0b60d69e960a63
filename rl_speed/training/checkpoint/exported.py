"""A network without its run: config.json says what it is, model.safetensors holds the weights of the acting network.

The only file that imports safetensors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rl_speed.system.errors import UserError
from rl_speed.training.checkpoint.folders import EXPORT_FILE

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS_FILE = "model.safetensors"


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise UserError(
            f"{WEIGHTS_FILE} is written and read with safetensors; run `pip install 'rl-speed[export]'`"
        ) from None
    return safetensors


def check_safetensors() -> None:
    """Refuses where safetensors is not installed, with a UserError."""
    _safetensors()


def write_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Writes a network's weights and buffers, each in the usual order of its axes.

    Args:
        path: file to write.
        weights: by name.

    Raises:
        UserError: safetensors is not installed.
        OSError: the file cannot be written.
    """
    # A clone each: the format refuses weights that share their memory.
    plain = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()}
    path.write_bytes(_safetensors().torch.save(plain, {"format": "pt"}))


def load_export(folder: Path) -> tuple[dict[str, Any], str | None]:
    """Reads what an export says of its run, and its weights as `acting_network`; or says what is wrong with it.

    Raises:
        UserError: safetensors is not installed.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        return {}, f"holds no {WEIGHTS_FILE}, so rl_speed cannot play it; export the run with --format safetensors"
    library = _safetensors()
    try:
        facts = json.loads((folder / EXPORT_FILE).read_text(encoding="utf-8"))["rl_speed"]
        return {"rl_speed": facts, "acting_network": library.torch.load_file(path)}, None
    except (OSError, ValueError, KeyError, library.SafetensorError) as error:
        reason = " ".join(str(error).split())[:80]
        return {}, f"cannot be read, it is truncated or foreign ({type(error).__name__}: {reason})"
