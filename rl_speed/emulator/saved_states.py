"""Games that were saved, and what can be done with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_speed.system.arrays import UInt8Array
from rl_speed.system.errors import UserError


@dataclass(frozen=True, eq=False)
class SavedStates:
    """Games as they were: everything that they will do depends on this and on the actions alone.

    `len`, an index, a slice or an array of indices choose among them; they can be pickled.

    Attributes:
        rows: [S, bytes] uint8 each; of the consoles.
        fingerprint: what they fit: the same game, settings and version.
    """

    rows: Mapping[str, UInt8Array]
    fingerprint: UInt8Array

    def __len__(self) -> int:
        return len(self.rows["console"])

    def __getitem__(self, index: Any) -> SavedStates:
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return SavedStates({name: array[chosen] for name, array in self.rows.items()}, self.fingerprint)

    @staticmethod
    def joined(parts: Sequence[SavedStates]) -> SavedStates:
        """Those of one and then those of the next.

        Raises:
            UserError: something else than states, or states that do not fit together.
        """
        if (
            not isinstance(parts, (list, tuple))
            or not parts
            or not all(isinstance(part, SavedStates) for part in parts)
        ):
            raise UserError(f"states: {parts!r} must be what save_states gave, or a list of such")
        if any(not np.array_equal(part.fingerprint, parts[0].fingerprint) for part in parts):
            raise UserError("states: they are of different games, settings or versions; join those of one kind")
        names = parts[0].rows
        rows = {name: np.concatenate([part.rows[name] for part in parts]) for name in names}
        return SavedStates(rows, parts[0].fingerprint)

    @property
    def nbytes(self) -> int:
        """Memory that they take, in bytes."""
        return sum(array.nbytes for array in self.rows.values())
