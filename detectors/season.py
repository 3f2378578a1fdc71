"""How much better or worse clicks convert by hour of the week: 168 factors, borrowed from hours and weekdays.

The factor of an hour of the week is ``hour of day * weekday * what the cell itself shows``.  Each part is a ratio of
conversions seen to conversions expected without it, drawn towards 1 by what is unknown of it: a ratio with variance
``v`` of which a variance of ``V`` is plausible counts with the weight ``V / (V + v)`` (Efron and Morris 1973).  Counts
give a ratio the variance ``phi / n``; a weekday that was met on few days is in doubt by a day's mood as well.  So a
young account takes the hour of day first, then the weekdays, and single hours of the week only when they insist.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]

HOURS = 168
HOUR_VARIANCE, WEEKDAY_VARIANCE, CELL_VARIANCE = 0.03, 0.003, 0.0005
"""How much factors plausibly vary: hours of the day by 17 %, weekdays by 5 %, single hours of the week by 2 %."""
PHI = 1.5
DAY_MOOD = 0.004
"""Relative variance that one day adds for reasons of its own."""
LEAST, MOST = 0.2, 5.0

# The columns of a season row: conversions seen and expected without season, by hour of the week.
SEEN, EXPECTED = 0, HOURS
COLUMNS = 2 * HOURS


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def learn(row: Row, hour: int, n: float, mu: float) -> None:
    """Add ``n`` seen and ``mu`` expected without season in ``hour`` of the week (0: Monday 00:00 local)."""
    row[SEEN + hour] += n
    row[EXPECTED + hour] += mu


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def shrunk(n: float, mu: float, plausible: float, doubted: float) -> float:
    """The ratio of ``n`` to ``mu``, drawn towards 1; ``doubted`` is relative variance beyond that of the counts."""
    if mu <= 0.0:
        return 1.0
    weight = plausible / (plausible + PHI / mu + doubted)
    return float(max(LEAST, min(MOST, 1.0 + weight * (n / mu - 1.0))))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def doubt(row: Row, hour: int, days: float) -> float:
    """Relative variance that the factor of ``hour`` of the week still has, not knowing hours and weekdays well."""
    known = row[EXPECTED + hour % 24 : EXPECTED + HOURS : 24].sum()
    of_hour = 1.0 / (1.0 / HOUR_VARIANCE + known / PHI)
    of_weekday = 1.0 / (1.0 / WEEKDAY_VARIANCE + days / 7.0 / DAY_MOOD)
    return float(of_hour + of_weekday)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def weekday_doubt(row: Row) -> float:
    """Relative variance that a weekday's factor still has after the conversions that it was met with.

    >>> round(weekday_doubt(np.zeros(COLUMNS)), 4), round(weekday_doubt(np.full(COLUMNS, 100.0)), 4)
    (0.003, 0.0005)
    """
    of_day = row[EXPECTED : EXPECTED + HOURS].sum() / 7.0
    return float(1.0 / (1.0 / WEEKDAY_VARIANCE + of_day / PHI))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def derive(row: Row, days: float, factors: Row) -> None:
    """Fill ``factors``, one per hour of the week, from what was seen on about ``days`` days.

    Their mean, weighted with what was expected, is 1: the level is learned elsewhere.
    """
    factors[:] = 1.0
    expected = row[EXPECTED : EXPECTED + HOURS].sum()
    if expected <= 0.0:
        return
    usual = row[EXPECTED : EXPECTED + HOURS] * (row[SEEN : SEEN + HOURS].sum() / expected)
    for h in range(24):
        factors[h::24] = shrunk(row[SEEN + h : SEEN + HOURS : 24].sum(), usual[h::24].sum(), HOUR_VARIANCE, 0.0)
    doubted = DAY_MOOD * 7.0 / max(days, 1.0)
    for d in range(7):
        cells = slice(24 * d, 24 * d + 24)
        told = (usual[cells] * factors[cells]).sum()
        factors[cells] *= shrunk(row[SEEN + 24 * d : SEEN + 24 * d + 24].sum(), told, WEEKDAY_VARIANCE, doubted)
    for c in range(HOURS):
        factors[c] *= shrunk(row[SEEN + c], usual[c] * factors[c], CELL_VARIANCE, doubted)
    factors *= expected / (row[EXPECTED : EXPECTED + HOURS] * factors).sum()


def hour_of_week(local_ms: int) -> int:
    """The hour of the week of local milliseconds, 0: Monday 00:00.

    >>> hour_of_week(0), hour_of_week(4 * 86_400_000)
    (72, 0)
    """
    return (local_ms // 3_600_000 + 72) % HOURS
