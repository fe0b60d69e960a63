"""Images as a first convolution over blocks of pixels reads them, in one pass of C++ where torch takes four.

On a CPU it is memory that a pass costs. Where there is no compiler, on a GPU, and where a graph is traced, torch does
the same, to the bit. The pass keeps one thread busy, the caller's: parts of a minibatch have one each.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from rl_speed.system.code_cache import NativeCodeError, load_library
from rl_speed.system.ending import Ending
from rl_speed.system.native_code import Program, library_path

_LOGGER = logging.getLogger(__name__)
_SOURCE = Path(__file__).parent / "source" / "image_blocks.cpp"
PROGRAM = Program(
    "the learner's preparation of images",
    _SOURCE.name,
    # Read when this program begins, with whose Python it has to agree: the file may be replaced while it runs.
    {_SOURCE.name: _SOURCE.read_text(encoding="utf-8")},
    ("-std=c++17", "-O3", "-shared", "-fPIC", "-march=native"),
)
_FUNCTIONS = {torch.float32: "image_blocks_float32", torch.bfloat16: "image_blocks_bfloat16"}
_STRIDES = (2, 4, 8)  # of image_blocks.cpp


class _Blocks(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("frames", "height", "width", "rows", "columns")]


def compile_image_blocks(ending: Ending | None = None) -> str | None:
    """Compiles the pass, unless that is done.

    Args:
        ending: when compiling has to end unfinished; by default never.

    Returns:
        What it is made of, as a file's name; None where it cannot be had.

    Raises:
        EndedBeforeStartError: it had to end unfinished.
    """
    with suppress(NativeCodeError):  # said when it is wanted
        return library_path(PROGRAM, ending).name
    return None


@functools.cache
def _library() -> ctypes.CDLL | None:
    """None where it cannot be had."""
    try:
        return load_library(library_path(PROGRAM))
    except NativeCodeError as error:
        _LOGGER.info("network.fused goes on with torch alone: %s", error)
        return None


def image_blocks(
    image: Tensor, mean: Tensor, blocks: tuple[int, int], stride: int, dtype: torch.dtype
) -> Tensor | None:
    """Images minus a mean image, cut into blocks of stride x stride pixels that lie beside each other.

    Args:
        image: uint8 [B, K, H, W].
        mean: float32 [H, W].
        blocks: h and w, how many there are.
        stride: of the blocks.
        dtype: of the result; the mean is rounded to it first.

    Returns:
        [B, h, w, K * stride * stride]; None where that is torch's work.
    """
    (count, frames, height, width), (rows, columns) = image.shape, blocks
    is_known = image.dtype == torch.uint8 and dtype in _FUNCTIONS and stride in _STRIDES
    is_traced = torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined,no-untyped-call]
    if not is_known or is_traced or image.device.type != "cpu":
        return None
    library = _library()
    if library is None or mean.shape != image.shape[2:] or mean.dtype != torch.float32:
        return None
    image, mean = image.contiguous(), mean.contiguous()
    result = image.new_empty((count, rows, columns, frames * stride * stride), dtype=dtype)
    places = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (image, mean, result))
    shape = _Blocks(frames, height, width, rows, columns)
    getattr(library, _FUNCTIONS[dtype])(*places, ctypes.c_int64(count), stride, ctypes.byref(shape))
    return result
