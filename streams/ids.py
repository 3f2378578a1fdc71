"""The ids seen inside the horizon: an open-addressing table of 64-bit hashes with the hour each id belongs to.

Whether an id counts as seen depends on the log alone (its hour against the last tick), never on when the table was
rebuilt; rebuilding only drops what no longer counts.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

HOUR_MS = 3_600_000
START = 1 << 12


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def seen(
    hashes: NDArray[np.uint64],
    hours: NDArray[np.int64],
    used: NDArray[np.int64],
    one: np.uint64,
    hour: int,
    oldest: int,
) -> bool:
    """True when ``one`` is there with an hour of at least ``oldest``; otherwise it is put there with ``hour``."""
    mask = np.uint64(len(hashes) - 1)
    slot = (one ^ (one >> np.uint64(32))) & mask
    while hashes[slot] != 0:
        if hashes[slot] == one:
            known = hours[slot] >= oldest
            if not known:
                hours[slot] = hour
            return bool(known)
        slot = (slot + np.uint64(1)) & mask
    hashes[slot] = one
    hours[slot] = hour
    used[0] += 1
    return False


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _refill(
    hashes: NDArray[np.uint64],
    hours: NDArray[np.int64],
    old: NDArray[np.uint64],
    old_hours: NDArray[np.int64],
    oldest: int,
) -> int:
    mask = np.uint64(len(hashes) - 1)
    kept = 0
    for i in range(len(old)):
        if old[i] == 0 or old_hours[i] < oldest:
            continue
        slot = (old[i] ^ (old[i] >> np.uint64(32))) & mask
        while hashes[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        hashes[slot] = old[i]
        hours[slot] = old_hours[i]
        kept += 1
    return kept


class Ids:
    """The table; :func:`seen` works on its arrays.

    >>> ids = Ids()
    >>> ids.reserve(1, 0)
    >>> [seen(ids.hashes, ids.hours, ids.used, np.uint64(7), 5, 0) for _ in range(2)]
    [False, True]
    """

    __slots__ = ("hashes", "hours", "used")

    def __init__(self) -> None:
        self.hashes = np.zeros(START, np.uint64)
        self.hours = np.zeros(START, np.int64)
        self.used = np.zeros(1, np.int64)

    def reserve(self, more: int, oldest: int) -> None:
        """Make room for ``more`` ids, dropping those whose hour is below ``oldest`` when the table is rebuilt."""
        if (self.used[0] + more) * 5 < len(self.hashes) * 3:
            return
        alive = int(np.count_nonzero((self.hashes != 0) & (self.hours >= oldest)))
        self._rebuild(START if alive + more < START // 2 else 1 << int(2 * (alive + more)).bit_length(), oldest)

    def _rebuild(self, size: int, oldest: int) -> None:
        hashes, hours = np.zeros(size, np.uint64), np.zeros(size, np.int64)
        self.used[0] = _refill(hashes, hours, self.hashes, self.hours, oldest)
        self.hashes, self.hours = hashes, hours

    def arrays(self, oldest: int) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps: the ids that still count, sorted."""
        alive = (self.hashes != 0) & (self.hours >= oldest)
        order = np.argsort(self.hashes[alive])
        return {"ids": self.hashes[alive][order], "id_hours": self.hours[alive][order].astype(np.int32)}

    @classmethod
    def of(cls, hashes: NDArray[np.uint64], hours: NDArray[np.int32]) -> Ids:
        """The table that holds exactly these ids."""
        ids = cls()
        ids.hashes, ids.hours = hashes.copy(), hours.astype(np.int64)
        ids._rebuild(1 << max(12, int(2 * len(hashes) + 2).bit_length()), -(1 << 60))
        return ids
