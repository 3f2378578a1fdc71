"""How much better or worse clicks convert by hour of the week: 168 factors, borrowed from hours and weekdays.

The factor of an hour of the week is ``hour of day * weekday * what the cell itself shows``.  Each part is a ratio of
conversions seen to conversions expected without it, drawn towards 1 by what is unknown of it: a ratio with variance
``v`` of which a variance of ``V`` is plausible counts with the weight ``V / (V + v)`` (Efron and Morris 1973).  Counts
give a ratio the variance ``phi / n``; a weekday that was met on few days is in doubt by a day's mood as well.  So a
young account takes the hour of day first, then the weekdays, and single hours of the week only when they insist.

Weekdays are learned together, since neighbours are alike: with ``K`` their covariance beforehand and ``D`` the
variances of what was seen, ``K (K + D)^-1`` of the ratios is believed and ``K - K (K + D)^-1 K`` stays in doubt (the
posterior of a Gaussian prior; Rasmussen and Williams 2006, equations 2.25 and 2.26).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]

HOURS = 168
HOUR_VARIANCE, WEEKDAY_VARIANCE, CELL_VARIANCE = 0.03, 0.005, 0.0005
"""How much factors plausibly vary: hours of the day by 17 %, weekdays by 7 %, single hours of the week by 2 %."""
KINSHIP = (1.0, 0.3, -0.4, -0.4, -0.4, -0.4, 0.3)
"""Correlation of weekdays so many days apart: that of two neighbouring days which differ from the other five, wherever
in the week they stand."""
ALIKE = WEEKDAY_VARIANCE * np.array([[KINSHIP[(i - j) % 7] for j in range(7)] for i in range(7)])
UNSEEN = 1e6
"""Variance of a weekday that was not met yet."""
PHI = 1.5
DAY_MOOD = 0.004
"""Relative variance that a day adds for reasons of its own while no day like it was met: its account has just begun."""
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
def unlearned(row: Row, phi: float) -> float:
    """Relative variance of the hours of the day that is not learned yet; ``phi``: variance over mean of the counts.

    A factor that was drawn towards 1 with the weight ``w`` leaves ``(1 - w)^2`` of what hours plausibly vary by, and
    neighbouring hours leave it alike.

    >>> unlearned(np.zeros(COLUMNS), 1.0), round(unlearned(np.full(COLUMNS, 10.0), 1.0), 4)
    (0.03, 0.0031)
    """
    known = HOUR_VARIANCE * row[EXPECTED : EXPECTED + HOURS].sum() / 24.0 / phi
    return float(HOUR_VARIANCE / (1.0 + known) ** 2)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def derive(row: Row, days: float, mood: float, factors: Row) -> float:
    """Fill ``factors``, one per hour of the week, from what was seen on about ``days`` days; the doubt about weekdays.

    ``mood``: relative variance of single days.  The mean of the factors, weighted with what was expected, is 1: the
    level is learned elsewhere.  The doubt is a relative variance, the mean over the weekdays.

    >>> factors = np.ones(HOURS)
    >>> derive(np.zeros(COLUMNS), 0.0, 0.0, factors), round(derive(np.full(COLUMNS, 100.0), 70.0, 0.0, factors), 4)
    (0.005, 0.0004)
    """
    factors[:] = 1.0
    expected = row[EXPECTED : EXPECTED + HOURS].sum()
    if expected <= 0.0:
        return WEEKDAY_VARIANCE
    usual = row[EXPECTED : EXPECTED + HOURS] * (row[SEEN : SEEN + HOURS].sum() / expected)
    for h in range(24):
        factors[h::24] = shrunk(row[SEEN + h : SEEN + HOURS : 24].sum(), usual[h::24].sum(), HOUR_VARIANCE, 0.0)
    weeks = max(days, 1.0) / 7.0
    doubted = mood / weeks + DAY_MOOD / weeks**2
    unknown = _weekdays(row, usual, doubted, factors)
    for c in range(HOURS):
        factors[c] *= shrunk(row[SEEN + c], usual[c] * factors[c], CELL_VARIANCE, doubted)
    factors *= expected / (row[EXPECTED : EXPECTED + HOURS] * factors).sum()
    return float(unknown)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _weekdays(row: Row, usual: Row, doubted: float, factors: Row) -> float:
    """Put what is believed of the weekdays into ``factors``; the relative variance that stays in doubt."""
    off = np.zeros(7)
    known = ALIKE + UNSEEN * np.eye(7)
    for d in range(7):
        cells = slice(24 * d, 24 * d + 24)
        told = (usual[cells] * factors[cells]).sum()
        if told > 0.0:
            known[d, d] = ALIKE[d, d] + PHI / told + doubted
            off[d] = row[SEEN + 24 * d : SEEN + 24 * d + 24].sum() / told - 1.0
    believed = np.linalg.solve(known, ALIKE)
    left = WEEKDAY_VARIANCE
    for d in range(7):
        factors[24 * d : 24 * d + 24] *= max(LEAST, min(MOST, 1.0 + (believed[:, d] * off).sum()))
        left -= (ALIKE[d] * believed[:, d]).sum() / 7.0
    return float(max(left, 0.0))


def hour_of_week(local_ms: int) -> int:
    """The hour of the week of local milliseconds, 0: Monday 00:00.

    >>> hour_of_week(0), hour_of_week(4 * 86_400_000)
    (72, 0)
    """
    return (local_ms // 3_600_000 + 72) % HOURS
