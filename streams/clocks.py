"""Which hour it is where an account lives: offsets from UTC, renewed every day, so that compiled code can tell it.

The zone is the one that the settings name for the account, else the one its snapshots name (the first in the
alphabet, should they disagree), else the settings' default.  A day on which clocks change has two offsets and the
moment between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import season
from streams.series import Registry

Rows = NDArray[Any]
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def hour_of_week(accounts: Rows, a: int, at_ms: int) -> int:
    """The local hour of the week of account ``a``, 0: Monday 00:00."""
    turned = 1 if at_ms >= accounts[a].turn_ms else 0
    return int(((at_ms + accounts[a].offset_ms[turned]) // HOUR_MS + 72) % season.HOURS)


class Clocks:
    """Keeps the offsets of a registry's accounts."""

    def __init__(self, registry: Registry, default: str, named: Mapping[str, str]) -> None:
        self._registry = registry
        self._default = default
        self._named = named
        self._told = 0
        self._day_ms = 0

    def turn(self, day_ms: int) -> None:
        """A new day (UTC) begins: find every account's offsets."""
        self._day_ms, self._told = day_ms, 0
        self.follow()

    def resume(self, day_ms: int) -> None:
        """Go on in the middle of a day, with the offsets that state has brought."""
        self._day_ms, self._told = day_ms, len(self._registry.currencies)

    def follow(self) -> None:
        """Find the offsets of accounts that were met since."""
        for a in range(self._told, len(self._registry.currencies)):
            self._tell(a, ZoneInfo(self._zone(a)))
        self._told = len(self._registry.currencies)

    def name(self, account: int, zone: str) -> None:
        """A snapshot of ``account`` says that its days are those of ``zone``; heeded from the next day on."""
        known = self._registry.zones[account]
        self._registry.zones[account] = zone if known is None else min(known, zone)

    def _zone(self, a: int) -> str:
        name = self._registry.scopes[int(self._registry.accounts["series"][a])][0]
        return self._named.get(name) or self._registry.zones[a] or self._default

    def _tell(self, a: int, zone: ZoneInfo) -> None:
        accounts = self._registry.accounts
        before, after = _offset_ms(zone, self._day_ms), _offset_ms(zone, self._day_ms + DAY_MS)
        moved = (before - int(accounts["offset_ms"][a, 1])) // HOUR_MS
        if moved:  # another zone than was thought so far, not a change of clocks: what was learned moves with it
            learned = accounts["season"][a].reshape(2, season.HOURS)
            learned[:] = np.roll(learned, moved, axis=1)
            accounts["factor"][a] = np.roll(accounts["factor"][a], moved)
        accounts["offset_ms"][a] = before, after
        accounts["turn_ms"][a] = _turn_ms(zone, self._day_ms, before) if after != before else self._day_ms + DAY_MS


def _offset_ms(zone: ZoneInfo, at_ms: int) -> int:
    offset = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)


def _turn_ms(zone: ZoneInfo, day_ms: int, before: int) -> int:
    """The first minute of the day at which clocks no longer show ``before``.

    >>> berlin, day = ZoneInfo("Europe/Berlin"), 1_774_742_400_000
    >>> (_turn_ms(berlin, day, _offset_ms(berlin, day)) - day) / HOUR_MS
    1.0
    """
    low, high = 0, DAY_MS // MINUTE_MS
    while low < high:
        middle = (low + high) // 2
        if _offset_ms(zone, day_ms + middle * MINUTE_MS) == before:
            low = middle + 1
        else:
            high = middle
    return day_ms + low * MINUTE_MS
