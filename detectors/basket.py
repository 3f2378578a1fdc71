"""Baskets smaller than they were: a mixture Shiryaev-Roberts e-detector on the mean of log basket values.

Revenue is a compound of a count and of basket values; a drop of the value is seen earlier when values are tested
apart (``docs/detectors.md``).  With log values normal (mean ``m``, variance ``s2``, learned), ``k`` baskets whose
logs sum to ``total`` and an alternative in which values are divided by ``r``, ``d = log r``, the log likelihood ratio
is ``-d / s2 * (total - k * m) - k * d * d / (2 * s2)``.  The uncertainty of ``m`` widens ``s2`` as in the count test.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from river.base import SupervisedAnomalyDetector

from detectors import deficit

Row = NDArray[np.float64]

GRID = (1.35, 1.6, 2.0, 3.0)
GRID_ARRAY = np.log(np.array(GRID))
GRID_SIZE = len(GRID)
MIN_BASKETS = 20.0
HORIZON_BASKETS = 30.0
DRIFT_VARIANCE = 0.003
KEEP_PER_BASKET = 1.0 / 2000.0
SPREAD_PRIOR = 0.5
SPREAD_PRIOR_WEIGHT = 5.0
CLIP_SD = 3.0

# The columns of a basket row: what is learned, what waits to be learned, the recovery, then five per ratio.
COUNT, MEAN, SQUARES, FREEDOM, HOLD_K, HOLD_TOTAL, HOLD_SQUARES, HOLD_STEPS, AT_MS, RECOVERY = range(10)
EVIDENCE, CUSUM, ONSET, SINCE_K, SINCE_TOTAL = range(5)
PER_RATIO = 5
FIRST = 10
COLUMNS = FIRST + PER_RATIO * GRID_SIZE


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def spread(row: Row) -> float:
    """Variance of one log basket, with the uncertainty of the learned mean and its drift inside.

    A step of many baskets is one observation of the variance: ``(total - k * mean)^2 / k``.
    """
    s2 = (row[SQUARES] + SPREAD_PRIOR * SPREAD_PRIOR_WEIGHT) / (row[FREEDOM] + SPREAD_PRIOR_WEIGHT)
    return float(s2 * (1.0 + HORIZON_BASKETS / max(row[COUNT], 1.0)) + HORIZON_BASKETS * DRIFT_VARIANCE)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def log_ratio(row: Row, k: float, total: float, d: float) -> float:
    """Log likelihood ratio of ``k`` baskets with log sum ``total``: values divided by ``exp(d)`` against no change."""
    s2 = spread(row)
    reach = CLIP_SD * math.sqrt(s2 * k)
    off = max(-max(reach, k * d), min(reach, total - k * row[MEAN]))
    return float(-d / s2 * off - k * d * d / (2.0 * s2))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def step(row: Row, k: float, total: float, from_ms: float) -> bool:
    """Judge ``k`` baskets; true when a verdict was possible (enough baskets learned)."""
    if k <= 0.0 or row[COUNT] < MIN_BASKETS:
        return False
    fade = (from_ms - row[AT_MS]) / deficit.FADE_MS if row[AT_MS] > 0.0 else 0.0
    row[AT_MS] = from_ms
    for g in range(GRID_SIZE):
        _advance(
            row[FIRST + g * PER_RATIO : FIRST + (g + 1) * PER_RATIO],
            k,
            total,
            log_ratio(row, k, total, GRID_ARRAY[g]) - fade,
            from_ms,
        )
    return True


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _advance(cell: Row, k: float, total: float, change: float, from_ms: float) -> None:
    cell[EVIDENCE] = min((min(k, deficit.LUMP) / GRID_SIZE + cell[EVIDENCE]) * math.exp(change), 1e300)
    if cell[CUSUM] + change <= 0.0:
        cell[CUSUM] = 0.0
        cell[SINCE_K] = 0.0
        cell[SINCE_TOTAL] = 0.0
        return
    if cell[CUSUM] == 0.0:
        cell[ONSET] = from_ms
    cell[CUSUM] += change
    cell[SINCE_K] += k
    cell[SINCE_TOTAL] += total


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def evidence(row: Row) -> float:
    """The e-detector's value ``R``."""
    total = 0.0
    for g in range(GRID_SIZE):
        total += row[FIRST + g * PER_RATIO + EVIDENCE]
    return total


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def nats(row: Row) -> float:
    """Evidence for the likeliest ratio over the stretch since its onset, nats."""
    return float(row[FIRST + best(row) * PER_RATIO + CUSUM])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def best(row: Row) -> int:
    """Which ratio of the grid explains the stretch since its onset best."""
    found = 0
    for g in range(GRID_SIZE):
        if row[FIRST + g * PER_RATIO + CUSUM] > row[FIRST + found * PER_RATIO + CUSUM]:
            found = g
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def recover(row: Row, k: float, total: float, d: float) -> float:
    """Evidence (nats) that baskets are back to normal rather than still divided by ``exp(d)``."""
    if k > 0.0:
        row[RECOVERY] = max(0.0, row[RECOVERY] - log_ratio(row, k, total, d))
    return float(row[RECOVERY])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def hold(row: Row, k: float, total: float) -> None:
    """Let baskets wait for being learned."""
    if k > 0.0:
        center = row[MEAN] if row[COUNT] > 0.0 else total / k
        row[HOLD_K] += k
        row[HOLD_TOTAL] += total
        row[HOLD_SQUARES] += (total - k * center) ** 2 / k
        row[HOLD_STEPS] += 1.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def commit(row: Row) -> None:
    """Learn the waiting baskets: an exponentially forgetting mean and variance of their logs."""
    k = row[HOLD_K]
    if k <= 0.0:
        return
    keep = math.exp(-k * KEEP_PER_BASKET)
    row[COUNT] = row[COUNT] * keep + k
    row[SQUARES] = row[SQUARES] * keep + row[HOLD_SQUARES]
    row[FREEDOM] = row[FREEDOM] * keep + row[HOLD_STEPS]
    row[MEAN] += (row[HOLD_TOTAL] - k * row[MEAN]) / row[COUNT]
    drop(row)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def drop(row: Row) -> None:
    """Forget the waiting baskets unlearned."""
    row[HOLD_K] = 0.0
    row[HOLD_TOTAL] = 0.0
    row[HOLD_SQUARES] = 0.0
    row[HOLD_STEPS] = 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def reset(row: Row) -> None:
    """Begin the test anew; what was learned stays."""
    row[RECOVERY:] = 0.0


class BasketDrop(SupervisedAnomalyDetector):
    """Basket value detector of one series in River's shape.

    ``x`` holds nothing that is needed; ``y`` is one basket's value (> 0).  ``score_one`` is ``log10(1 + R)`` after
    that basket; what scores above ``suspect`` is not learned.

    >>> detector = BasketDrop()
    >>> for value in (40.0, 60.0, 50.0) * 50:
    ...     detector.learn_one({}, value)
    >>> for value in (20.0, 30.0, 25.0) * 8:
    ...     detector.learn_one({}, value)
    >>> detector.score_one({}, 20.0) > 3
    True
    """

    def __init__(self, suspect: float = 1.5) -> None:
        self.suspect = suspect
        self._row = np.zeros(COLUMNS)

    def learn_one(self, x: dict[str, Any], y: float) -> None:
        """Judge the basket, then learn it unless it is under suspicion."""
        if y <= 0.0:
            return
        step(self._row, 1.0, math.log(y), 0.0)
        hold(self._row, 1.0, math.log(y))
        if math.log10(1.0 + evidence(self._row)) < self.suspect:
            commit(self._row)

    def score_one(self, x: dict[str, Any], y: float) -> float:
        """Evidence after this basket, ``log10(1 + R)``, without taking it."""
        row = self._row.copy()
        if y > 0.0:
            step(row, 1.0, math.log(y), 0.0)
        return math.log10(1.0 + evidence(row))
