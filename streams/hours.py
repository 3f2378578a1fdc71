"""The ring of hours that every series remembers: which columns it has, and how it moves on."""

from __future__ import annotations

from typing import Any

import numba
from numpy.typing import NDArray

Rows = NDArray[Any]

HOUR_MS = 3_600_000
HOURS = 64
SEEN, EXPECTED, SPENT, SOLD, KNOWN, BASKETS, BASKETS_OFF, CLICKED, DUE = range(9)
"""Of the conversions that arrived in the hour: how many, how many were expected, how many say when their click was;
money spent and value sold, micros; baskets, and how far their log values lie from the usual, summed.  Of the clicks
of the hour: how many conversions they have brought so far, in millionths so that sums are exact in any order, and how
many they are to bring in all; only conversions that say when their click was."""
COLUMNS = 9


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def turn(series: Rows, s: int, hour: int) -> None:
    """Move the ring of ``s`` on so that ``hour`` (since the epoch) is in it."""
    last = series[s].history_hour
    if hour <= last:
        return
    if last < 0 or hour - last >= HOURS:
        series[s].history[:] = 0.0
    else:
        for h in range(last + 1, hour + 1):
            series[s].history[h % HOURS][:] = 0.0
    series[s].history_hour = hour


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def add_up(series: Rows, s: int, hour: int, column: int, amount: float, blind: int) -> None:
    """Add to ``hour`` of ``s`` and of what it belongs to, up to the first series whose mode has ``blind``."""
    at = s
    while at != -1:
        turn(series, at, hour)
        if hour > series[at].history_hour - HOURS:
            series[at].history[hour % HOURS, column] += amount
        at = -1 if series[at].mode & blind else series[at].parent
