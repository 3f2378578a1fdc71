"""The ids seen inside the horizon: an open-addressing table of 64-bit hashes with the hour each id belongs to.

Whether an id counts as seen depends on the log alone (its hour against the last tick), never on when the table was
rebuilt; rebuilding only drops what no longer counts.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

HOUR_MS = 3_600_000
START = 1 << 12


HASH, HOUR = 0, 1
Table = NDArray[np.int64]
"""One row a slot, hash and hour side by side, since they are looked at together; hash 0: the slot is free."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def seen(table: Table, used: NDArray[np.int64], one: np.uint64, hour: int, oldest: int) -> bool:
    """True when ``one`` is there with an hour of at least ``oldest``; otherwise it is put there with ``hour``."""
    mine = np.int64(one)
    slot = _slot(table, mine)
    if table[slot, HASH] == mine:
        known = table[slot, HOUR] >= oldest
        if not known:
            table[slot, HOUR] = hour
        return bool(known)
    table[slot, HASH] = mine
    table[slot, HOUR] = hour
    used[0] += 1
    return False


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _slot(table: Table, mine: np.int64) -> int:
    """The slot of a hash, or the free one where it belongs."""
    mask = len(table) - 1
    slot = (mine ^ (mine >> 32)) & mask
    while table[slot, HASH] != 0 and table[slot, HASH] != mine:
        slot = (slot + 1) & mask
    return int(slot)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _refill(table: Table, old: Table, oldest: int) -> int:
    kept = 0
    for i in range(len(old)):
        if old[i, HASH] == 0 or old[i, HOUR] < oldest:
            continue
        slot = _slot(table, old[i, HASH])
        table[slot, HASH] = old[i, HASH]
        table[slot, HOUR] = old[i, HOUR]
        kept += 1
    return kept


class Ids:
    """The table; :func:`seen` works on its arrays.

    >>> ids = Ids()
    >>> ids.reserve(1, 0)
    >>> [seen(ids.table, ids.used, np.uint64(7), 5, 0) for _ in range(2)]
    [False, True]
    """

    __slots__ = ("table", "used")

    def __init__(self) -> None:
        self.table = np.zeros((START, 2), np.int64)
        self.used = np.zeros(1, np.int64)

    def reserve(self, more: int, oldest: int) -> None:
        """Make room for ``more`` ids, dropping those whose hour is below ``oldest`` when the table is rebuilt."""
        if (self.used[0] + more) * 5 < len(self.table) * 3:
            return
        alive = int(np.count_nonzero(self._alive(oldest)))
        self._rebuild(START if alive + more < START // 2 else 1 << int(2 * (alive + more)).bit_length(), oldest)

    def _alive(self, oldest: int) -> Any:
        return (self.table[:, HASH] != 0) & (self.table[:, HOUR] >= oldest)

    def _rebuild(self, size: int, oldest: int) -> None:
        table = np.zeros((size, 2), np.int64)
        self.used[0] = _refill(table, self.table, oldest)
        self.table = table

    def arrays(self, oldest: int) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps: the ids that still count, sorted."""
        alive = self.table[self._alive(oldest)]
        alive = alive[np.argsort(alive[:, HASH])]
        return {"ids": alive[:, HASH], "id_hours": alive[:, HOUR].astype(np.int32)}

    @classmethod
    def of(cls, hashes: NDArray[np.int64], hours: NDArray[np.int32]) -> Ids:
        """The table that holds exactly these ids."""
        ids = cls()
        ids.table = np.stack([hashes, hours.astype(np.int64)], axis=1)
        ids._rebuild(1 << max(12, int(2 * len(hashes) + 2).bit_length()), -(1 << 60))
        return ids
