"""Growing columns: records of one layout in one structured array, which is how all state is kept and snapshotted.

One array instead of one per column keeps the compiled code small (it takes three arguments, not sixty) and each
series' numbers beside each other in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Spec = Mapping[str, tuple[Any, tuple[int, ...], float]]
FIRST_CAPACITY = 64


def layout(*specs: Spec) -> str:
    """A short mark of the layout of some tables: other columns, types or shapes give another one.

    >>> layout({"at_ms": (np.int64, (), -1.0)}) == layout({"at_ms": (np.int64, (2,), -1.0)})
    False
    """
    told = [[(name, np.dtype(dtype).str, shape) for name, (dtype, shape, _) in spec.items()] for spec in specs]
    return blake2b(repr(told).encode(), digest_size=6).hexdigest()


class Columns:
    """Records of a common layout; each field has a dtype, a shape and a fill value, and is a column of its own to read.

    >>> table = Columns({"at_ms": (np.int64, (), -1.0), "sums": (np.int64, (2,), 0.0)})
    >>> table.add(), table.add(), table["at_ms"].tolist(), table["sums"].shape
    (0, 1, [-1, -1], (2, 2))
    """

    __slots__ = ("_rows", "size", "spec")

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.size = 0
        self._rows = self._filled(FIRST_CAPACITY)

    def __getitem__(self, name: str) -> Array:
        return self.rows[name]

    @property
    def rows(self) -> Array:
        """The records in use, for compiled code."""
        return self._rows[: self.size]

    @property
    def whole(self) -> Array:
        """The records over the whole capacity, for compiled code that keeps its own count."""
        return self._rows

    def reserve(self, capacity: int) -> None:
        """Make room for at least ``capacity`` rows, doubling."""
        if capacity > len(self._rows):
            grown = self._filled(max(capacity, 2 * len(self._rows)))
            grown[: self.size] = self._rows[: self.size]
            self._rows = grown

    def add(self) -> int:
        """A new row, filled; gives its number."""
        self.reserve(self.size + 1)
        self.size += 1
        return self.size - 1

    def _filled(self, capacity: int) -> Array:
        rows = np.empty(capacity, np.dtype([(name, dtype, shape) for name, (dtype, shape, _) in self.spec.items()]))
        for name, (_, _, fill) in self.spec.items():
            rows[name] = fill
        return rows

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Every column under ``prefix.name``, for a snapshot."""
        return {f"{prefix}.{name}": self.rows[name] for name in self.spec}

    def fill(self, prefix: str, arrays: Mapping[str, Array]) -> None:
        """Take the rows of a snapshot."""
        rows = len(arrays[f"{prefix}.{next(iter(self.spec))}"])
        self.reserve(rows)
        self.size = rows
        for name in self.spec:
            self._rows[name][:rows] = arrays[f"{prefix}.{name}"]
