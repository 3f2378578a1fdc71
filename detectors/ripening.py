"""How cohorts of clicks grow older: the shares arrived by each age, whatever the clicks are worth.

Of a cohort that has brought ``U`` conversions by some hour of its age, ``D`` of them in that hour, the share arrived
before that hour was ``1 - D / U`` of the share arrived after it: reverse hazards, and their product is the product
limit of right-truncated delays (Lynden-Bell, MNRAS 155, 1971; actuaries know it as the chain ladder).  What a click is
worth cancels, so the spike of a CPA teaches nothing false, and a lag that has changed shows within a day or two.  What
comes later than ``2 ** GROUPS`` hours only :mod:`detectors.lag`'s histogram knows.

Lags mostly change as a whole, so beside the shape runs one number that learns faster: how many times longer all lags
are of late than those remembered (:func:`note`, :func:`stretch`).
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
SCORE, KNOWN = 2 * GROUPS, 2 * GROUPS + 1
COLUMNS = 2 * GROUPS + 2
"""Of a row: conversions that arrived at such an age, then what clicks of that age had brought by then, hour by hour;
then the score of the log of a stretch of all lags, and how much is known of it."""
REMEMBERED = 1000.0
"""Conversions of known age that are remembered at most."""
BELIEF = 100.0
"""Conversions' worth of belief that cohorts grow as the histogram says."""
LARGEST_HAZARD = 0.9
RECENT = 40.0
"""Information on the log of a stretch that is remembered at most."""
STEADY = 10.0
"""Information's worth of belief that lags are as they were."""
ROOT = math.sqrt(2.0)
MOST_LOG = math.log(4.0)
"""A lag is held to be up to four times as long, or as short, as it was."""
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
    believed = _hazard(young, old, j)
    if believed <= 0.0:
        return 0.0
    hidden = BELIEF * (old - young)
    hazard = (row[j] + hidden) / (row[GROUPS + j] + hidden / believed)
    return 2.0**j * math.log1p(-min(hazard, LARGEST_HAZARD)) - math.log(young / old)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _hazard(young: float, old: float, j: int) -> float:
    """Share of what clicks of group ``j`` brought that came in the last hour, with such shares before and after it."""
    return -math.expm1(math.log(young / old) / 2.0**j) if 0.0 < young < old else 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def note(below: Row, row: Row, grown: Row) -> None:
    """Hold what the last hour, ``grown``, counted of every group against the shares ``below``.

    Were all lags ``s`` times as long, the hazards would be others: the score and the information of ``log(s)`` at 0
    (Fisher), of Poisson counts.
    """
    for j in range(GROUPS):
        usual, longer, shorter = _stretched(below, j, 1.0), _stretched(below, j, ROOT), _stretched(below, j, 1.0 / ROOT)
        if min(usual, longer, shorter) <= 0.0:
            continue
        slope = math.log(longer / shorter) / math.log(2.0)
        due = grown[GROUPS + j] * usual
        row[SCORE] += slope * (grown[j] - due)
        row[KNOWN] += slope * slope * due
    if row[KNOWN] > RECENT:
        row[SCORE] *= RECENT / row[KNOWN]
        row[KNOWN] = RECENT


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _stretched(below: Row, j: int, longer: float) -> float:
    """The hazard of group ``j``, were lags ``longer`` times as long."""
    hour_ms = HOUR_MS / longer
    youngest_ms = (2.0**j - 1.0) * hour_ms
    young = lag.matured(below, youngest_ms, hour_ms)
    old = lag.matured(below, youngest_ms + 2.0**j * hour_ms, hour_ms)
    return float(_hazard(young, old, j))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def stretch(below: Row, row: Row) -> None:
    """Make the lag ``below`` longer or shorter by what the last days say against what is remembered.

    One number is learned from a few hundred conversions, the shape of a lag from thousands: a lag that has doubled is
    followed for its tail, too, before anybody can have seen it.
    """
    log_factor = row[SCORE] / (row[KNOWN] + STEADY)
    if log_factor == 0.0 or below[0] >= 1.0:
        return
    factor = math.exp(min(max(log_factor, -MOST_LOG), MOST_LOG))
    old, end = below.copy(), lag.BINS - 2
    for b in range(lag.BINS - 1):
        age_ms = lag.EDGES_MS[b] / factor
        if age_ms < lag.EDGES_MS[end]:
            below[b] = lag.arrived(old, age_ms)
        else:
            below[b] = old[end] + (old[end + 1] - old[end]) * (1.0 - lag.EDGES_MS[end] / age_ms)
