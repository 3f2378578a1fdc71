"""The fence against the intake's own repeats: per raw partition, the highest position that was applied.

Facts of one raw partition reach one partition of facts in rising order; after a crash the intake sends some again,
and those stand at or below the fence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events.batch import NO_ORIGIN, Batch


class Fence:
    """The highest applied position per origin ("topic/partition")."""

    def __init__(self, highest: dict[str, int] | None = None) -> None:
        self.highest = dict(highest or {})

    def repeats(self, batch: Batch) -> NDArray[np.bool_]:
        """Which rows were applied before; the others move the fence."""
        repeated = np.zeros(len(batch), np.bool_)
        if batch.origin is None or batch.origin_offset is None:
            return repeated
        for code, origin in enumerate(batch.origins):
            rows = np.flatnonzero(batch.origin == code)
            if code == NO_ORIGIN or not len(rows):
                continue
            positions = batch.origin_offset[rows]
            before = np.maximum.accumulate(np.concatenate([[self.highest.get(origin, -1)], positions]))
            repeated[rows] = positions <= before[:-1]
            self.highest[origin] = int(before[-1])
        return repeated
