"""Growing columns: named numpy arrays of one length, which is how all state is kept and snapshotted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Spec = Mapping[str, tuple[Any, tuple[int, ...], float]]
FIRST_CAPACITY = 64


class Columns:
    """Arrays by name with a common number of rows; each has a dtype, a shape per row and a fill value.

    >>> table = Columns({"at_ms": (np.int64, (), -1.0), "sums": (np.int64, (2,), 0.0)})
    >>> table.add(), table.add(), table["at_ms"].tolist(), table["sums"].shape
    (0, 1, [-1, -1], (2, 2))
    """

    __slots__ = ("_arrays", "_views", "capacity", "size", "spec")

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.size = 0
        self.capacity = 0
        self._arrays: dict[str, Array] = {}
        self._views: dict[str, Array] = {}
        self.reserve(FIRST_CAPACITY)

    def __getitem__(self, name: str) -> Array:
        return self._views[name]

    def reserve(self, capacity: int) -> None:
        """Make room for at least ``capacity`` rows, doubling."""
        if capacity > self.capacity:
            self.capacity = max(capacity, 2 * self.capacity)
            self._arrays = {name: self._grown(name) for name in self.spec}
            self._look()

    def add(self) -> int:
        """A new row, filled; gives its number."""
        self.size += 1
        self.reserve(self.size)
        self._look()
        return self.size - 1

    def whole(self) -> dict[str, Array]:
        """The arrays over the whole capacity, for compiled code that keeps its own count of rows."""
        return self._arrays

    def refreshed(self) -> Columns:
        """Itself, after ``size`` was set from outside."""
        self._look()
        return self

    def _grown(self, name: str) -> Array:
        dtype, shape, fill = self.spec[name]
        grown = np.full((self.capacity, *shape), fill, dtype)
        if name in self._arrays:
            grown[: len(self._arrays[name])] = self._arrays[name]
        return grown

    def _look(self) -> None:
        self._views = {name: array[: self.size] for name, array in self._arrays.items()}

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Every column under ``prefix.name``, for a snapshot."""
        return {f"{prefix}.{name}": view for name, view in self._views.items()}

    def fill(self, prefix: str, arrays: Mapping[str, Array]) -> None:
        """Take the rows of a snapshot."""
        rows = len(arrays[f"{prefix}.{next(iter(self.spec))}"])
        self.reserve(rows)
        self.size = rows
        for name in self.spec:
            self._arrays[name][: self.size] = arrays[f"{prefix}.{name}"]
        self._look()
