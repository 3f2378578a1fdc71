"""How much a conversion rate wanders by itself: a relative variance that lasts, and one of single days.

On a day with ``mu`` conversions expected and ``n`` seen the relative error is ``e = (n - mu) / mu``.  Counts alone give
it the variance ``phi / mu``; what is left is the rate's own.  Errors of following days have no counts in common, so the
mean of their products is the part that lasts (drift); the rest comes and goes with the day (mood).  Both are means
over the days of all series that share a :class:`row <COLUMNS>`, weighted by how much a day's counts can tell, and
begin from a prior worth ``PRIOR_DAYS``.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]

DRIFT_PRIOR = 0.0004
"""Relative variance of what lasts (sd 2 %), before days have told."""
MOOD_PRIOR = 0.0004
PRIOR_DAYS = 6.0
LEAST_MU = 10.0
"""Conversions expected on a day from which it tells something."""
LARGEST_ERROR = 0.5
"""One bad day teaches no more than this: what is worse is an incident, not a mood."""

# The columns of a day row: what is summed of today; yesterday's error and its weight.
DAY_N, DAY_MU, ERROR, WEIGHT = range(4)
DAY_COLUMNS = 4
# The columns of a drift row: weighted sums of squares less counts' share, and of products of following days.
SQUARES, SQUARES_WEIGHT, PRODUCTS, PRODUCTS_WEIGHT = range(4)
COLUMNS = 4


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def note(day: Row, n: float, mu: float) -> None:
    """Add ``n`` seen and ``mu`` expected to the running day."""
    day[DAY_N] += n
    day[DAY_MU] += mu


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def end_day(day: Row, phi: float, row: Row) -> None:
    """Put the day that is over into ``row``; ``phi`` is the dispersion of its counts."""
    mu = day[DAY_MU]
    error = 0.0
    weight = 0.0
    if mu >= LEAST_MU:
        error = max(-LARGEST_ERROR, min(LARGEST_ERROR, (day[DAY_N] - mu) / mu))
        prior = DRIFT_PRIOR + MOOD_PRIOR
        weight = (prior / (prior + phi / mu)) ** 2
        row[SQUARES] += weight * (error * error - phi / mu)
        row[SQUARES_WEIGHT] += weight
        both = (weight * day[WEIGHT]) ** 0.5
        row[PRODUCTS] += both * error * day[ERROR]
        row[PRODUCTS_WEIGHT] += both
    day[DAY_N] = 0.0
    day[DAY_MU] = 0.0
    day[ERROR] = error
    day[WEIGHT] = weight


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def lasting(row: Row) -> float:
    """Relative variance of the drift: what stays for days.

    >>> round(lasting(np.zeros(COLUMNS)), 5)
    0.0004
    """
    found = (row[PRODUCTS] + DRIFT_PRIOR * PRIOR_DAYS) / (row[PRODUCTS_WEIGHT] + PRIOR_DAYS)
    return float(max(found, DRIFT_PRIOR / 4.0))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def passing(row: Row) -> float:
    """Relative variance of moods: what comes and goes with a day.

    >>> round(passing(np.zeros(COLUMNS)), 5)
    0.0004
    """
    total = (row[SQUARES] + (DRIFT_PRIOR + MOOD_PRIOR) * PRIOR_DAYS) / (row[SQUARES_WEIGHT] + PRIOR_DAYS)
    return float(max(total - lasting(row), MOOD_PRIOR / 4.0))
