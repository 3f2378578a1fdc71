"""What the time of day lets expect of any number: mean and spread by hour, joined by straight lines, and weekdays.

The expected value at a time is the mean of its hour of the day, read off a straight line between full hours, plus a
shift for the day of the week; both take over a share ``rate`` of a day's surprise.  Beside each hour's mean runs the
mean absolute error of its readings: a number that is calm at night and restless at noon is judged by the night at
night.  ``stretch`` makes errors of all hours comparable: usual error over the hour's error, the latter drawn towards
the former as if that had been seen ``PRIOR_READINGS`` times.  Times are milliseconds of the local clock where a
caller knows a zone, else of UTC.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LEVEL_RATE = 0.02
SPREAD_RATE = 0.1
"""Share of a day's surprise that the spread of an hour takes over."""
SPREAD_MEMORY = 2_000.0
PRIOR_READINGS = 10.0
MOST_STRETCH = 10.0
"""An hour without any noise is still judged as if a tenth of the usual noise were there."""
MIN_READINGS = 30.0
CLIP_SPREADS = 10.0
"""An error teaches the spread at most so many times the usual error."""

# The columns of a profile: readings so far, time of the first, level, usual error; by hour mean, readings, error; days.
READINGS, SINCE_MS, LEVEL, ERROR = range(4)
HOUR_MEAN = 4
HOUR_READINGS = HOUR_MEAN + 24
HOUR_ERROR = HOUR_READINGS + 24
DAY_SHIFT = HOUR_ERROR + 24
COLUMNS = DAY_SHIFT + 7


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def nearest_hour(at_ms: int) -> int:
    """The hour of day whose beginning is nearest, 0 to 23."""
    return (at_ms + HOUR_MS // 2) // HOUR_MS % 24


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _mean(row: Row, hour: int) -> float:
    return float(row[HOUR_MEAN + hour] if row[HOUR_READINGS + hour] > 0.0 else row[LEVEL])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def expect(row: Row, at_ms: int) -> float:
    """What the time of ``at_ms`` lets expect."""
    hour, share = at_ms // HOUR_MS % 24, (at_ms % HOUR_MS) / HOUR_MS
    hourly = (1.0 - share) * _mean(row, hour) + share * _mean(row, (hour + 1) % 24)
    return float(hourly + row[DAY_SHIFT + at_ms // DAY_MS % 7])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def stretch(row: Row, at_ms: int) -> float:
    """What to multiply an error of the hour of ``at_ms`` by to compare it with errors of any hour, at most ten."""
    usual = row[ERROR]
    if usual <= 0.0:
        return 1.0
    hour = nearest_hour(at_ms)
    seen = row[HOUR_READINGS + hour]
    own = (row[HOUR_ERROR + hour] * seen + usual * PRIOR_READINGS) / (seen + PRIOR_READINGS)
    return float(usual / max(own, usual / MOST_STRETCH))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def begin(row: Row, at_ms: int, value: float) -> None:
    """The first reading: until an hour has been met, the level stands for it."""
    row[SINCE_MS] = at_ms
    row[LEVEL] = value


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def learn(row: Row, at_ms: int, expected: float, error: float, clipped: float, gap_ms: float, rate: float) -> None:
    """Take an ``error`` off ``expected`` into account: ``clipped`` moves the means, the error's size the spread.

    ``gap_ms`` is the usual time between two readings, by which a day's share is split among the day's readings.
    """
    hour, day = nearest_hour(at_ms), at_ms // DAY_MS % 7
    if row[HOUR_READINGS + hour] == 0.0:
        row[HOUR_MEAN + hour] = row[LEVEL]
    row[READINGS] += 1.0
    row[HOUR_READINGS + hour] += 1.0
    newest = 1.0 / row[HOUR_READINGS + hour]
    of_hour, of_day = min(1.0, gap_ms / HOUR_MS), min(1.0, gap_ms / DAY_MS)
    row[HOUR_MEAN + hour] += max(rate * of_hour, newest) * clipped
    row[DAY_SHIFT + day] += rate * of_day * clipped
    row[LEVEL] += LEVEL_RATE * (expected + clipped - row[LEVEL])
    size = abs(error) if row[READINGS] <= MIN_READINGS else min(abs(error), CLIP_SPREADS * row[ERROR])
    row[ERROR] += (size - row[ERROR]) / min(row[READINGS], SPREAD_MEMORY)
    row[HOUR_ERROR + hour] += max(SPREAD_RATE * of_hour, newest) * (size - row[HOUR_ERROR + hour])
