"""The three forms of a network, each read back after it was written and compared with the network itself."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rl_speed.exports.agent import TrainedAgent
from rl_speed.exports.onnx_file import ONNX_FILE, check_onnx, read_onnx, write_onnx
from rl_speed.exports.torchscript_file import TORCHSCRIPT_FILE, read_torchscript, write_torchscript
from rl_speed.system.durable import sync_path
from rl_speed.system.errors import ConfigError, UserError
from rl_speed.training.checkpoint.exported import WEIGHTS_FILE, check_safetensors, write_weights

TOLERANCE = 1e-5  # of a value, in float32: other kernels add up in another order

Values = Callable[[Tensor], Tensor]  # observation uint8 [B, K, H, W] -> q_value float32 [B, A]


@dataclass(frozen=True)
class Format:
    """A form of a network.

    Attributes:
        file: its name in the folder of an export.
        check: raises UserError where a package is missing.
        write: writes the network of an agent to a path.
        read: what was written, as a function; None: bytes of the weights, which cannot give other values.
    """

    file: str
    check: Callable[[], None]
    write: Callable[[TrainedAgent, Path], None]
    read: Callable[[Path], Values] | None


FORMATS = {
    "safetensors": Format(
        WEIGHTS_FILE, check_safetensors, lambda agent, path: write_weights(path, agent.network.state_dict()), None
    ),
    "onnx": Format(ONNX_FILE, check_onnx, write_onnx, read_onnx),
    "torchscript": Format(TORCHSCRIPT_FILE, lambda: None, write_torchscript, read_torchscript),
}


def check_format(name: str) -> None:
    """Refuses what cannot be written, before anything is done.

    Raises:
        UserError: there is no such format, or a package is missing for it.
    """
    if name not in FORMATS:
        raise ConfigError(f"--format {name!r} is none of {', '.join(FORMATS)}; name one of these")
    FORMATS[name].check()


def write_network(agent: TrainedAgent, name: str, folder: Path) -> None:
    """Writes the network in a format, and makes sure that it gives the same values.

    Args:
        agent: with the network.
        name: of the format.
        folder: where the file goes.

    Raises:
        UserError: the network cannot be written in this format, or gives other values in it.
        OSError: the file cannot be written.
    """
    form = FORMATS[name]
    path = folder / form.file
    with _quiet():
        try:
            form.write(agent, path)
        except (OSError, UserError):
            raise
        except Exception as error:  # the exporters raise a different type for each thing that they cannot express
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"--format {name}: this network cannot be written so ({type(error).__name__}: {reason}); choose "
                f"another format"
            ) from error
        sync_path(path)
        if form.read is not None:
            _compare(agent, form.read(path), name)


def _compare(agent: TrainedAgent, values: Values, name: str) -> None:
    """Asks both for the values of two batches of other sizes than the one that was traced."""
    shape, generator = agent.config.envs.observation_shape, torch.Generator().manual_seed(0)
    for count in (1, 3):
        observation = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
        with torch.no_grad():
            expected = agent.network(observation)
            given = values(observation)
        scale = max(1.0, float(expected.abs().max()))
        if given.shape != expected.shape or not float((given - expected).abs().max()) <= TOLERANCE * scale:
            raise UserError(
                f"--format {name}: what was written gives other values than the network, for {count} observations; its "
                f"forward may depend on them in a way that cannot be traced, so choose another format"
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters tell of what does not apply here: packages that are not needed, their own steps and age."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
