"""How many conversions to expect from spend: a slow level, a daily shape, and the delay from click to conversion.

Spend reaches the conversion count late.  The arrived exposure of a step is spend convolved with the lag, kept as one
exponentially weighted mean of the spend rate per stage of the lag; each mean is divided by its own start-up weight, so
that a series that begins in mid-life is not taken for one that begins from nothing.  The level is the posterior mean
of a gamma prior (the pooled level of the wider scope, worth ``PRIOR_CONVERSIONS``) after ``A`` conversions on ``B``
exposure, both forgotten with ``FORGET_MS``, few of them up to twice as slowly.  What is under suspicion waits, hour by
hour, and is learned when the suspicion has passed, or never: a suspicion passes when the hours after it make up for the
hours that raised it, so what waited must teach the dispersion by its hours, and not by a sum in which they cancel.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from river import base

from detectors import lag

Row = NDArray[np.float64]

FORGET_MS = 14 * 86_400_000.0
FEW = 300.0
"""Conversions at which a level is remembered half as long again; twice as long where there are hardly any."""
FORGET_SPREAD_MS = 20 * 86_400_000.0
PRIOR_CONVERSIONS = 6.0
MIN_CONVERSIONS = 10.0

# The columns of a level row.
A, B, PEARSON, PEARSON_WEIGHT = range(4)
HOUR_N, HOUR_X, HOUR_MU, HOUR_TOLD, CLOSED_MU, CLOSED_TOLD, SQUARES, WAITED_MS = range(4, 12)
SPENT = 12
WEIGHT = SPENT + lag.STAGES - 1
COLUMNS = WEIGHT + lag.STAGES - 1
"""What is learned; then what waits: sums of the running hour and of those before it, what of them belongs to hours that
are over, the squares of those, and how long they took; then the mean spend rate per exponential of the lag, and how far
each mean has started up."""
RESTING = 0.02
"""A series rests where its spend of late is less than this share of what slower exponentials expect of old spend."""
LATE = 3
"""The exponential whose mean tells of late: about four hours."""
GLITCH = 16.0
CLUSTERS = 6.0
"""An hour teaches the dispersion at most so many times what it should, or the square of so many clusters of ``phi``
conversions where that is more: a glitch is not noise, but a rare cluster is."""
TYPICAL_NATS = 12.0
"""Evidence that a decision typically takes."""
LARGEST_CAUTION = 0.8
"""Share by which a dispersion is raised at most."""
PHI_PRIOR = 1.5
PHI_PRIOR_WEIGHT = 20.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def arrive(row: Row, cost: float, dt_ms: float, weights: Row, keep: Row) -> float:
    """Arrived exposure of a step of ``dt_ms`` in which ``cost`` was spent.

    ``weights``: of the lag's stages (:func:`detectors.lag.fit`); ``keep``: :func:`detectors.lag.keeps` of ``dt_ms``.
    """
    exposure = weights[0] * cost
    for k in range(lag.STAGES - 1):
        row[SPENT + k] = row[SPENT + k] * keep[k] + cost / dt_ms * (1.0 - keep[k])
        row[WEIGHT + k] = row[WEIGHT + k] * keep[k] + (1.0 - keep[k])
        exposure += weights[1 + k] * row[SPENT + k] / row[WEIGHT + k] * dt_ms
    return float(exposure)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def begin(row: Row, idle_ms: float) -> None:
    """Before a series first spends: it is known to have spent nothing for ``idle_ms``; before that nothing is known."""
    for k in range(lag.STAGES - 1):
        row[WEIGHT + k] = -math.expm1(-idle_ms / lag.TAUS_MS[k])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def resting(row: Row, weights: Row) -> bool:
    """Whether all that is expected stems from clicks of long ago, after a day or so without spend.

    How many of those still convert hangs on the far tail of the lag, which nobody knows to a per mille of all.
    ``weights``: of the lag's stages.

    >>> row, weights = np.zeros(COLUMNS), np.full(lag.STAGES, 1.0 / lag.STAGES)
    >>> _ = arrive_after(row, 100.0, 3_600_000.0, weights)
    >>> resting(row, weights)
    False
    >>> _ = [arrive_after(row, 0.0, 3_600_000.0, weights) for _ in range(36)]
    >>> resting(row, weights)
    True
    """
    old = 0.0
    for k in range(LATE + 1, lag.STAGES - 1):
        if row[WEIGHT + k] > 0.0:
            old += weights[1 + k] * row[SPENT + k] / row[WEIGHT + k]
    return bool(row[SPENT + LATE] < RESTING * old * row[WEIGHT + LATE])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def expose(row: Row, cost: float, dt_ms: float, worth: float, into: Row) -> None:
    """Add to ``into``, after :func:`arrive`, what each stage of the lag would have brought in the step by itself.

    ``worth``: conversions per unit of cost.
    """
    into[0] += worth * cost
    for k in range(lag.STAGES - 1):
        into[1 + k] += worth * row[SPENT + k] / row[WEIGHT + k] * dt_ms


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def arrive_after(row: Row, cost: float, dt_ms: float, weights: Row) -> float:
    """:func:`arrive` of one step by itself."""
    keep = np.empty(lag.STAGES - 1)
    lag.keeps(dt_ms, keep)
    return float(arrive(row, cost, dt_ms, weights, keep))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def rate(row: Row, pooled: float) -> float:
    """Conversions per unit of exposure, shrunk to ``pooled`` (0: there is no wider level yet)."""
    if pooled <= 0.0:
        return float(row[A] / row[B]) if row[A] >= MIN_CONVERSIONS and row[B] > 0.0 else 0.0
    return float((row[A] + PRIOR_CONVERSIONS) / (row[B] + PRIOR_CONVERSIONS / pooled))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def dispersion(row: Row) -> float:
    """Variance over mean of hourly counts around their expectation, never below 1."""
    phi = (row[PEARSON] + PHI_PRIOR * PHI_PRIOR_WEIGHT) / (row[PEARSON_WEIGHT] + PHI_PRIOR_WEIGHT)
    return float(max(1.0, phi))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def cautious_dispersion(row: Row, a_day: float) -> float:
    """:func:`dispersion`, raised by what its own error does to false alarms.

    Evidence of ``k`` nats falls as ``1 / phi``, so a dispersion with the relative variance ``v`` multiplies false
    alarms by about ``exp(k^2 v / 2)``; a dispersion larger by ``k v / 2`` takes that back.  ``v`` is that of a variance
    of negative binomial hours, ``(2 mu + 6 (phi - 1) + 1 / phi) / weight`` with ``mu`` the mean of an hour.
    """
    phi = dispersion(row)
    variance = (a_day / 12.0 + 6.0 * (phi - 1.0) + 1.0 / phi) / (row[PEARSON_WEIGHT] + PHI_PRIOR_WEIGHT)
    return float(phi * (1.0 + min(TYPICAL_NATS / 2.0 * variance, LARGEST_CAUTION)))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def note(row: Row, n: float, exposure: float, mu: float) -> None:
    """Put a judged step into the running hour; ``mu`` is 0 where nothing was expected yet."""
    row[HOUR_N] += n
    row[HOUR_X] += exposure
    if mu > 0.0:
        row[HOUR_MU] += mu
        row[HOUR_TOLD] += n


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def close(row: Row, elapsed_ms: float, doubted: float = 0.0) -> None:
    """End the running hour, which took ``elapsed_ms``: from now on it waits as those before it.

    ``doubted``: relative variance of what was expected; what it explains is no dispersion.
    """
    mu = row[HOUR_MU] - row[CLOSED_MU]
    if mu > 0.0:
        square = (row[HOUR_TOLD] - row[CLOSED_TOLD] - mu) ** 2
        row[SQUARES] += min(square, _most(row, mu)) - mu * mu * doubted
    row[CLOSED_MU] = row[HOUR_MU]
    row[CLOSED_TOLD] = row[HOUR_TOLD]
    row[WAITED_MS] += elapsed_ms


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def commit(row: Row) -> None:
    """Learn the hours that wait: the level always, the dispersion where an expectation stood."""
    keep = math.exp(-row[WAITED_MS] / (FORGET_MS * (1.0 + FEW / (FEW + row[A]))))
    row[A] = row[A] * keep + row[HOUR_N]
    row[B] = row[B] * keep + row[HOUR_X]
    if row[HOUR_MU] > 0.0:
        keep = math.exp(-row[WAITED_MS] / FORGET_SPREAD_MS)
        row[PEARSON] = row[PEARSON] * keep + row[SQUARES]
        row[PEARSON_WEIGHT] = row[PEARSON_WEIGHT] * keep + row[HOUR_MU]
    drop(row)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def spread(row: Row, n: float, mu: float, weight: float) -> None:
    """Learn the dispersion alone from an hour with ``mu`` expected, with some ``weight``."""
    if mu > 0.0:
        row[PEARSON] += weight * min((n - mu) ** 2, _most(row, mu))
        row[PEARSON_WEIGHT] += weight * mu


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _most(row: Row, mu: float) -> float:
    """The largest square that an hour may teach."""
    phi = dispersion(row)
    return float(max(GLITCH * (phi * mu + 1.0), (CLUSTERS * phi) ** 2))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def drop(row: Row) -> None:
    """Forget what waits unlearned: it belongs to an incident."""
    row[HOUR_N : WAITED_MS + 1] = 0.0


class ConversionLevel(base.Regressor):
    """Expected conversions given exposure, as one River regressor: the scalar form of the level.

    ``x`` holds ``cost`` (any unit of money spent in the step) and ``dt_ms`` (length of the step, ms); ``y`` is the
    conversions of the step.  ``predict_one`` is the expected count, 0.0 while fewer than ``MIN_CONVERSIONS`` were
    seen.  Without observed delays all exposure arrives at once.

    >>> level = ConversionLevel()
    >>> for _ in range(100):
    ...     level.learn_one({"cost": 10.0, "dt_ms": 3_600_000}, 2)
    >>> level.predict_one({"cost": 10.0, "dt_ms": 3_600_000})
    2.0
    >>> level.predict_one({"cost": 5.0, "dt_ms": 3_600_000})
    1.0
    """

    def __init__(self, weights: tuple[float, ...] = (1.0,) + (0.0,) * (lag.STAGES - 1)) -> None:
        self.weights = weights
        self._row = np.zeros(COLUMNS)

    def learn_one(self, x: dict[str, Any], y: float) -> None:
        """Learn ``y`` conversions on the exposure of ``x``."""
        exposure = arrive_after(self._row, float(x["cost"]), float(x["dt_ms"]), np.asarray(self.weights))
        note(self._row, float(y), exposure, exposure * rate(self._row, 0.0))
        close(self._row, float(x["dt_ms"]))
        commit(self._row)

    def predict_one(self, x: dict[str, Any]) -> float:
        """Expected conversions of the step; changes nothing."""
        row = self._row.copy()
        exposure = arrive_after(row, float(x["cost"]), float(x["dt_ms"]), np.asarray(self.weights))
        return float(exposure * rate(row, 0.0))

    @property
    def phi(self) -> float:
        """Learned variance over mean, at least 1."""
        return float(dispersion(self._row))
