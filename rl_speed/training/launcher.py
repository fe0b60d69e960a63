"""Variables of launchers stay out of Lightning, which is told what it has to know.

Lightning and its loggers take their rank from SLURM's or torchrun's variables as soon as they are there: a run started
inside such a job, but not by it, would log nothing and look for files of another rank.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only

_NAMES = {
    "RANK",
    "LOCAL_RANK",
    "NODE_RANK",
    "GROUP_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "JSM_NAMESPACE_RANK",
}
# PL_TRAINER_*: Lightning's way to set arguments of its Trainer that a program has left alone.
_PREFIXES = ("SLURM_", "TORCHELASTIC_", "OMPI_", "PMI_", "PL_TRAINER_")


@contextmanager
def launcher_hidden(own_rank: int = 0) -> Iterator[None]:
    """Takes the variables away for the block, and lets Lightning know this process's rank."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name in _NAMES or name.startswith(_PREFIXES)}
    lightning: Any = rank_zero_only
    before = getattr(lightning, "rank", None)
    lightning.rank = own_rank  # read from the variables when Lightning was imported
    try:
        yield
    finally:
        os.environ.update(hidden)
        lightning.rank = before
