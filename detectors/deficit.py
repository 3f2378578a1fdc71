"""Fewer conversions than the spend should have bought, or far more: a mixture Shiryaev-Roberts e-detector on counts.

For each ratio ``r`` of a grid the alternative says that the CPA is multiplied by ``r``.  With the count negative
binomial of mean ``mu`` and variance ``phi * mu`` under the null, and the same shape under the alternative, the log
likelihood ratio of a step is ``n * log(a / r) + mu * log(a) / (phi - 1)`` with ``a = phi / (1 + (phi - 1) / r)``
(``phi = 1``: Poisson, ``-n * log(r) + mu * (1 - 1 / r)``).  ``R = sum_r R_r`` with
``R_r <- (w_r * mu + R_r) * LR_r``; alarming at ``R >= gamma`` gives a mean run of at least ``gamma`` conversions
expected between false alarms, however many come in a step (Shin, Ramdas and Rinaldo, 'E-detectors', arXiv 2203.03532:
onsets may have any weights that add up).  Ratios below 1 are summed apart: conversions that are implausibly many.
Beside each ``R_r`` runs its CUSUM, whose last zero is the estimated onset.  A step is taken once ``STEP_MU``
conversions were expected, so small series take few steps and spend little of their allowance.

Every ratio has a dispersion of its own (:func:`spread`), because it rests its decision on a stretch of its own: the
longer the stretch, the more an error of the learned level adds up.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from river.base import SupervisedAnomalyDetector

from detectors import drift, lag, level

Row = NDArray[np.float64]

DAY_MS = 86_400_000.0
WORSE = (1.4, 1.7, 2.2, 3.0, 5.0, 100.0)
BETTER = (1 / 1.5, 1 / 2.5)
GRID = WORSE + BETTER
GRID_ARRAY = np.array(GRID)
WEIGHTS = np.array([0.22, 0.19, 0.18, 0.18, 0.16, 0.07, 0.5, 0.5])
"""Shares of the onsets that each ratio has, in all 1 on either side: with these CPA times 1.5, 2 and 3 are told about
as far from the limit (``benchmarks/limits.py --only known``)."""
STEP_MU = 0.25
YOUNG_VARIANCE, YOUNG_DAYS = 0.008, 6.0
"""What a level that rests on one day does not know of other days, and by when it begins to fall with the square of the
days: what days have in common is weekdays and moods, and those have doubts of their own."""
LUMP = 10.0
"""Conversions' worth of onsets that a step has at most: within a day told in one number there is one, not hundreds."""
FADE_MS = 32 * DAY_MS
"""Evidence fades by a nat in so long: what creeps in over weeks is the new normal, not an incident."""
MOOD_DAYS = 1.4
"""Days' worth of conversions that a day's mood is shared by: neighbouring days are wrong together."""
INFORMATION = 1.0 - 1.0 / GRID_ARRAY - np.log(GRID_ARRAY) / GRID_ARRAY
"""Nats that an expected conversion brings when each ratio is true and counts are Poisson."""
LEAST_NATS = 2.0
TYPICAL_STRETCH = 40.0
GAMMA = 1e4
"""Conversions expected per false alarm, as the scalar form assumes."""
AT_ONCE = np.eye(lag.STAGES)[0]

# The columns of a deficit row: waiting step, then five per ratio of the grid, then the recovery.
WAIT_N, WAIT_MU, WAIT_MS, RECOVERY, RECOVERING_MS = range(5)
EVIDENCE, CUSUM, ONSET, SINCE_N, SINCE_MU = range(5)
PER_RATIO = 5
PER_SEEN, PER_DUE = range(2)
FIRST = 5
COLUMNS = FIRST + PER_RATIO * len(GRID)
GRID_SIZE = len(GRID)
WORSE_SIZE = len(WORSE)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def doubt(certainty: float, days: float, drift: float) -> float:
    """Relative variance of a level that rests on ``certainty`` conversions of ``days`` and drifts by ``drift``.

    Over a stretch with ``m`` conversions expected it adds ``m * doubt`` to their variance over mean.
    """
    days = max(days, 0.5)
    young = YOUNG_VARIANCE * (1.0 + YOUNG_DAYS) / (days * (days + YOUNG_DAYS))
    return drift + young + 1.0 / max(certainty, 1.0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def spread(phi: float, doubted: float, mood: float, a_day: float, stretch: float) -> float:
    """Variance over mean of a count with ``stretch`` conversions expected.

    ``phi``: of the counts themselves; ``doubted``: :func:`doubt` of the level, shared by the whole stretch; ``mood``:
    relative variance of the conversion rate from day to day, shared by the ``a_day`` conversions of ``MOOD_DAYS`` days
    at most.
    """
    return phi + stretch * doubted + min(stretch, MOOD_DAYS * a_day) * mood


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def spreads(phi: float, doubted: float, mood: float, a_day: float, gamma: float, into: Row) -> None:
    """:func:`spread` of every ratio of the grid, over the stretch that a decision for it rests on.

    ``gamma``: conversions expected per false alarm.  A ratio with the information ``I`` decides at about
    ``log(gamma * I)`` nats, after ``phi / I`` times as many conversions expected.
    """
    for g in range(GRID_SIZE):
        nats = max(math.log(gamma * INFORMATION[g]), LEAST_NATS)
        into[g] = spread(phi, doubted, mood, a_day, phi * nats / INFORMATION[g])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def log_ratio(n: float, mu: float, phi: float, r: float) -> float:
    """Log likelihood ratio of ``n`` conversions where ``mu`` were expected, CPA times ``r`` against no change."""
    if phi < 1.0001:
        return -n * math.log(r) + mu * (1.0 - 1.0 / r)
    a = phi / (1.0 + (phi - 1.0) / r)
    return n * math.log(a / r) + mu * math.log(a) / (phi - 1.0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def slopes(phis: Row, into: Row) -> None:
    """What a conversion seen, and one expected, adds to each ratio's log likelihood ratio, given its dispersion.

    ``into``: a row per ratio; :func:`log_ratio` is linear in both.  ``phis``: :func:`spreads`.
    """
    for g in range(GRID_SIZE):
        into[g, PER_SEEN] = log_ratio(1.0, 0.0, phis[g], GRID_ARRAY[g])
        into[g, PER_DUE] = log_ratio(0.0, 1.0, phis[g], GRID_ARRAY[g])


def sloped(phi: float) -> Row:
    """:func:`slopes` at one dispersion for all ratios.

    >>> round(float(sloped(1.0)[0, PER_DUE]), 3)
    0.286
    """
    found = np.empty((GRID_SIZE, 2))
    slopes(np.full(GRID_SIZE, phi), found)
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def step(row: Row, n: float, mu: float, slopes: Row, from_ms: float, dt_ms: float) -> bool:
    """Add ``n`` seen and ``mu`` expected of ``dt_ms`` from ``from_ms`` on; true when that completed a step.

    ``slopes``: of :func:`slopes`.
    """
    row[WAIT_N] += n
    row[WAIT_MU] += mu
    row[WAIT_MS] += dt_ms
    if row[WAIT_MU] < STEP_MU:
        return False
    fade = row[WAIT_MS] / FADE_MS
    for g in range(GRID_SIZE):
        weight = min(row[WAIT_MU], LUMP) * WEIGHTS[g]
        change = row[WAIT_N] * slopes[g, PER_SEEN] + row[WAIT_MU] * slopes[g, PER_DUE] - fade
        _advance(row, FIRST + g * PER_RATIO, change, weight, from_ms)
    row[WAIT_N] = 0.0
    row[WAIT_MU] = 0.0
    row[WAIT_MS] = 0.0
    return True


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _advance(row: Row, cell: int, change: float, weight: float, from_ms: float) -> None:
    row[cell + EVIDENCE] = min((weight + row[cell + EVIDENCE]) * math.exp(change), 1e300)
    if row[cell + CUSUM] + change <= 0.0:
        row[cell + CUSUM] = 0.0
        row[cell + SINCE_N] = 0.0
        row[cell + SINCE_MU] = 0.0
        return
    if row[cell + CUSUM] == 0.0:
        row[cell + ONSET] = from_ms
    row[cell + CUSUM] += change
    row[cell + SINCE_N] += row[WAIT_N]
    row[cell + SINCE_MU] += row[WAIT_MU]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def evidence(row: Row) -> float:
    """The e-detector's value ``R`` for a dearer CPA."""
    total = 0.0
    for g in range(WORSE_SIZE):
        total += row[FIRST + g * PER_RATIO + EVIDENCE]
    return total


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def surplus(row: Row) -> float:
    """The e-detector's value ``R`` for implausibly many conversions."""
    total = 0.0
    for g in range(WORSE_SIZE, GRID_SIZE):
        total += row[FIRST + g * PER_RATIO + EVIDENCE]
    return total


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def best(row: Row) -> int:
    """Which ratio above 1 explains the stretch since its onset best."""
    return int(_likeliest(row, 0, WORSE_SIZE))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def best_surplus(row: Row) -> int:
    """Which ratio below 1 explains the stretch since its onset best."""
    return int(_likeliest(row, WORSE_SIZE, GRID_SIZE))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _likeliest(row: Row, first: int, end: int) -> int:
    found = first
    for g in range(first, end):
        if row[FIRST + g * PER_RATIO + CUSUM] > row[FIRST + found * PER_RATIO + CUSUM]:
            found = g
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def nats(row: Row, g: int) -> float:
    """Evidence for ratio ``g`` of the grid over the stretch since its onset, nats."""
    return float(row[FIRST + g * PER_RATIO + CUSUM])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def reset_surplus(row: Row) -> None:
    """Begin the test for too many conversions anew."""
    row[FIRST + WORSE_SIZE * PER_RATIO :] = 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def recover(row: Row, n: float, mu: float, phi: float, r: float, from_ms: float) -> float:
    """Evidence (nats) that the CPA is back to normal rather than still times ``r``: a CUSUM of the reverse test."""
    if row[RECOVERY] == 0.0:
        row[RECOVERING_MS] = from_ms
    row[RECOVERY] = max(0.0, row[RECOVERY] - log_ratio(n, mu, phi, r))
    return float(row[RECOVERY])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def reset(row: Row) -> None:
    """Begin anew."""
    row[:] = 0.0


class ConversionDeficit(SupervisedAnomalyDetector):
    """CPA spike detector for one series, in River's shape: the scalar form, level and evidence together.

    ``x`` holds ``cost`` and ``dt_ms``, ``y`` the conversions of the step.  ``score_one`` is ``log10(1 + R)`` as it
    would stand after the step: 0 is nothing; at ``log10(gamma)`` the promise of one false alarm in ``gamma``
    conversions expected is kept.  What scores above ``suspect`` is not learned.

    >>> detector = ConversionDeficit()
    >>> hour = {"cost": 100.0, "dt_ms": 3_600_000}
    >>> for n in (9, 11) * 200:
    ...     detector.learn_one(hour, n)
    >>> detector.score_one(hour, 10) < 1.0 < detector.score_one(hour, 0)
    True
    """

    def __init__(self, suspect: float = 1.5) -> None:
        self.suspect = suspect
        self._level = np.zeros(level.COLUMNS)
        self._row = np.zeros(COLUMNS)
        self._at_ms = 0.0

    def learn_one(self, x: dict[str, Any], y: float) -> None:
        """Judge the step, then learn it unless it is under suspicion."""
        exposure, mu = self._expect(self._level, x)
        if mu > 0.0:
            step(self._row, float(y), mu, self._slopes(), self._at_ms, float(x["dt_ms"]))
        self._at_ms += float(x["dt_ms"])
        level.note(self._level, float(y), exposure, mu)
        level.close(self._level, float(x["dt_ms"]))
        if math.log10(1.0 + max(evidence(self._row), surplus(self._row))) < self.suspect:
            level.commit(self._level)

    def score_one(self, x: dict[str, Any], y: float) -> float:
        """Evidence after this step, ``log10(1 + R)``, without taking it."""
        row = self._row.copy()
        _, mu = self._expect(self._level.copy(), x)
        if mu > 0.0:
            step(row, float(y), mu, self._slopes(), self._at_ms, float(x["dt_ms"]))
        return math.log10(1.0 + evidence(row))

    def _expect(self, row: Row, x: dict[str, Any]) -> tuple[float, float]:
        exposure = level.arrive_after(row, float(x["cost"]), float(x["dt_ms"]), AT_ONCE)
        return exposure, exposure * level.rate(row, 0.0)

    def _slopes(self) -> Row:
        phis, found = np.empty(GRID_SIZE), np.empty((GRID_SIZE, 2))
        doubted = doubt(self._level[level.A], self._at_ms / DAY_MS, drift.DRIFT_PRIOR)
        spreads(level.dispersion(self._level), doubted, 0.0, 0.0, GAMMA, phis)
        slopes(phis, found)
        return found
