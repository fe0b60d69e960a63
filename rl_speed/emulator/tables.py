"""Numeric facts of the console: the table of opcodes, and the palettes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rl_speed.system.arrays import UInt8Array

DATA = Path(__file__).parent / "data"


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads((DATA / "tables.json").read_text())
    return tables


def opcode_rows() -> list[tuple[str, str, str, int, int]]:
    """(mnemonic, mode, data access, base cycles, page penalty) of opcodes 0..255."""
    return [tuple(row) for row in _tables()["opcodes"]]


def grey_table(is_pal: bool) -> UInt8Array:
    """[256] uint8: the grey of each palette value. PAL's odd values are the colour loss."""
    tables = _tables()
    even = tables["pal_grey" if is_pal else "ntsc_grey"]
    odd = tables["pal_grey_of_odd_value"] if is_pal else even
    return np.stack([np.array(even, dtype=np.uint8), np.array(odd, dtype=np.uint8)], axis=1).reshape(256)


def colour_table(is_pal: bool) -> UInt8Array:
    """[256, 3] uint8: red, green and blue of each palette value. PAL's odd values are grey: the colour loss."""
    tables = _tables()
    even = np.array([list(bytes.fromhex(colour)) for colour in tables["pal_rgb" if is_pal else "ntsc_rgb"]], np.uint8)
    odd = np.array(tables["pal_grey"], dtype=np.uint8)[:, None].repeat(3, axis=1) if is_pal else even
    return np.stack([even, odd], axis=1).reshape(256, 3)
