"""A network as an ONNX graph, which onnxruntime and other programs compute without torch.

The only file that imports onnx.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from rl_speed.exports.agent import TrainedAgent
from rl_speed.system.errors import UserError

ONNX_FILE = "model.onnx"
OPSET = 18  # the first that torch's exporter writes without converting the graph


def check_onnx() -> None:
    """Refuses where torch's exporter could not work.

    Raises:
        UserError: a package is missing.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--format onnx needs {' and '.join(missing)}; run `pip install 'rl-speed[export]'`")


def write_onnx(agent: TrainedAgent, path: Path) -> None:
    """Writes the graph, with the batch size left open and the facts of config.json as metadata.

    By torch.export: its graph has 33 nodes for `fast_cpu`'s network where that of the older exporter, which torch is to
    drop, had 110 (torch 2.13.0).

    Args:
        agent: with the network.
        path: file to write.

    Raises:
        OSError: it cannot be written.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    # Two: an axis of one would be taken for a constant.
    observation = torch.zeros((2, *agent.config.envs.observation_shape), dtype=torch.uint8)
    program = torch.onnx.export(
        agent.network,
        (observation,),
        input_names=["observation"],
        output_names=["q_value"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    # The exporter notes where on this machine each line stands that a node comes from, and the line itself.
    ClearMetadataAndDocStringPass()(program.model)
    facts = {name: value for name, value in agent.describe().items() if name not in ("input", "output", "rl_speed")}
    for name, value in facts.items():
        program.model.metadata_props[name] = value if isinstance(value, str) else json.dumps(value)
    program.save(path)


def read_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """The graph as a function, computed by onnx's own reference implementation: slow, but it needs no runtime."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(path))

    def values(observation: Tensor) -> Tensor:
        (value,) = evaluator.run(["q_value"], {"observation": observation.numpy()})
        return torch.from_numpy(value)

    return values
