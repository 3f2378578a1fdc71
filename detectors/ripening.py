"""How cohorts of clicks grow older: the shares arrived by each age, whatever the clicks are worth.

Of a cohort that has brought ``U`` conversions by some hour of its age, ``D`` of them in that hour, the share arrived
before that hour was ``1 - D / U`` of the share arrived after it: reverse hazards, and their product is the product
limit of right-truncated delays (Lynden-Bell, MNRAS 155, 1971; actuaries know it as the chain ladder).  What a click is
worth cancels, so the spike of a CPA teaches nothing false, and a lag that has changed shows within a day or two.  What
comes later than ``2 ** GROUPS`` hours only :mod:`detectors.lag`'s histogram knows.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import lag

Row = NDArray[np.float64]

HOUR_MS = 3_600_000.0
GROUPS = 6
"""Groups of ages, each twice as long as the one before: 1, 2 to 3, 4 to 7 ... 32 to 63 hours after the click's hour."""
COLUMNS = 2 * GROUPS
"""Of a row: conversions that arrived at such an age, then what clicks of that age had brought by then, hour by hour."""
REMEMBERED = 1000.0
"""Conversions of known age that are remembered at most."""
BELIEF = 100.0
"""Conversions' worth of belief that cohorts grow as the histogram says."""
LARGEST_HAZARD = 0.9
POINTS_H = 2.0 ** np.arange(GROUPS + 1) - 0.5
"""Mean ages of the clicks of an hour, at the end of the first hour and of every group."""
EDGES_H = lag.EDGES_MS / HOUR_MS


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def group(age_h: int) -> int:
    """Which group of ages ``age_h``, whole hours after the click's hour, belongs to; -1: none.

    >>> [group(age) for age in (0, 1, 7, 63, 64)]
    [-1, 0, 2, 5, -1]
    """
    return int(math.log2(age_h)) if 1 <= age_h < 2**GROUPS else -1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def bend(below: Row, row: Row) -> None:
    """Bend the shares ``below`` of :func:`detectors.lag.cumulate` to what ``row`` shows of cohorts growing older."""
    factors = np.zeros(GROUPS + 1)
    old = _share(below, GROUPS)
    for j in range(GROUPS - 1, -1, -1):
        young = _share(below, j)
        factors[j] = factors[j + 1] + _log_factor(row, j, young, old)
        old = young
    below[: lag.BINS - 1] *= np.exp(np.interp(EDGES_H, POINTS_H, factors))
    for b in range(lag.BINS - 2, -1, -1):
        below[b] = min(below[b], below[b + 1])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _share(below: Row, j: int) -> float:
    """Mean share arrived of the clicks of an hour that is ``2 ** j - 1`` hours ago."""
    return float(lag.matured(below, (2.0**j - 1.0) * HOUR_MS, HOUR_MS))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _log_factor(row: Row, j: int, young: float, old: float) -> float:
    """Log of the share at the age of ``young`` over that at ``old``, less what the histogram says of it."""
    hidden = BELIEF * (old - young)
    if young <= 0.0 or hidden <= 0.0:
        return 0.0
    hours = 2.0**j
    usual = math.log(young / old)
    believed = -math.expm1(usual / hours)
    hazard = (row[j] + hidden) / (row[GROUPS + j] + hidden / believed)
    return hours * math.log1p(-min(hazard, LARGEST_HAZARD)) - usual
