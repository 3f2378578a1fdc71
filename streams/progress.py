"""How far the sources, accounts and series of a partition have come, as compiled code asks for it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from streams.hours import HOUR_MS
from streams.series import ACCOUNT

DAY_MS = 86_400_000
YOUNG_DAYS = 9.0
"""Age at which an account's tests ask for twice the odds, and half of its level is kept after an alert."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[Any]
"""A structured array: one record a series, source or account, as the registry lays it out."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def watermarks(sources: Rows, tick_ms: int, lateness_ms: int) -> None:
    """Move every source's watermark to what the log says at this tick; whole minutes, never back."""
    for s in range(len(sources)):
        said = sources[s].declared_ms
        reach = said if said >= 0 else sources[s].newest_ms - lateness_ms
        reach = min(reach, tick_ms) // 60_000 * 60_000
        if (said >= 0 or sources[s].newest_ms >= 0) and reach > sources[s].watermark_ms:
            sources[s].watermark_ms = reach


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def elapsed(series: Rows, sources: Rows, accounts: Rows, s: int) -> float:
    if series[s].level == ACCOUNT:
        return float(accounts[series[s].account].dt_ms)
    return float(sources[series[s].source].dt_ms)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def end(series: Rows, sources: Rows, accounts: Rows, s: int) -> int:
    if series[s].level == ACCOUNT:
        return int(accounts[series[s].account].watermark_ms)
    return int(sources[series[s].source].watermark_ms)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def learned_until(series: Rows, sources: Rows, accounts: Rows, s: int) -> int:
    if series[s].level == ACCOUNT:
        return int(accounts[series[s].account].learned_ms)
    return int(sources[series[s].source].learned_ms)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def hour_turned(series: Rows, sources: Rows, accounts: Rows, s: int) -> bool:
    last = learned_until(series, sources, accounts, s)
    return bool(last >= 0 and end(series, sources, accounts, s) // HOUR_MS > last // HOUR_MS)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def modes_above(series: Rows, s: int) -> int:
    up = series[s].parent
    modes = 0
    while up != -1:
        modes |= series[up].mode
        up = series[up].parent
    return modes


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def suspicious(series: Rows, s: int) -> bool:
    """Whether a series or a wider one is under suspicion."""
    at = s
    while at != -1:
        if series[at].hot:
            return True
        at = series[at].parent
    return False


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def age_days(accounts: Rows, a: int) -> float:
    """Days for which an account has been learned of; 0.0 when it is new."""
    return float((accounts[a].learned_ms - accounts[a].first_ms) / DAY_MS)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def youth(accounts: Rows, a: int) -> float:
    """How much more a young account's tests ask for: its noise, hours and weekdays are half known; 1.0 in the end."""
    return float(1.0 + YOUNG_DAYS / max(age_days(accounts, a), 1.0))
