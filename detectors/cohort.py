"""Dear clicks, told by when they were clicked: a mixture Shiryaev-Roberts e-detector on click cohorts.

A conversion that says when its ad was clicked belongs to a cohort: the hour of that click.  When clicks turn dear
after ``T``, only cohorts from ``T`` on bring less, while what was clicked before still arrives as before; held against
arrivals alone, the drop is hidden behind those old clicks for as long as the lag is long.  Let ``due`` be the
conversions that a cohort will bring in all, ``F`` the share of them that should have arrived by now, ``mu = due * F``
and ``n`` what has arrived.  The likelihood ratio of "clicks since ``T`` cost ``r`` times as much" is the product over
cohorts since ``T`` of the count ratio of :mod:`detectors.deficit`; it stays a martingale while cohorts mature, so the
sum over ``T``, each weighted with its ``due``, keeps the promise of an e-detector with conversions as its time
(Shin, Ramdas and Rinaldo, arXiv 2203.03532; the information gained: ``docs/detectors.md``).
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from river.base import SupervisedAnomalyDetector

from detectors import deficit, lag

Row = NDArray[np.float64]

GRID = (1.4, 1.7, 2.2, 3.0, 5.0)
GRID_ARRAY = np.array(GRID)
GRID_SIZE = len(GRID)
"""The first ratios of :data:`detectors.deficit.GRID`, so that its dispersions serve here too."""
WEIGHTS = deficit.WEIGHTS[:GRID_SIZE] / deficit.WEIGHTS[:GRID_SIZE].sum()

# The columns of a cohort row: evidence R, onset (cohorts since the newest), its nats and its ratio.
EVIDENCE, ONSET, NATS, RATIO = range(4)
COLUMNS = 4


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def judge(row: Row, n: Row, due: Row, share: Row, cells: int, slopes: Row) -> float:
    """Evidence ``R`` of cohorts ``0`` (newest) to ``cells - 1``: seen, due in all, and the share due by now.

    ``slopes``: of :func:`detectors.deficit.slopes`.
    """
    row[:] = 0.0
    nats = np.zeros(GRID_SIZE)
    for i in range(cells):
        mu = due[i] * share[i]
        for g in range(GRID_SIZE):
            nats[g] += n[i] * slopes[g, deficit.PER_SEEN] + mu * slopes[g, deficit.PER_DUE]
            row[EVIDENCE] += due[i] * WEIGHTS[g] * math.exp(min(nats[g], 600.0))
            if nats[g] > row[NATS]:
                row[NATS] = nats[g]
                row[ONSET] = i
                row[RATIO] = GRID_ARRAY[g]
    return float(row[EVIDENCE])


class CohortDeficit(SupervisedAnomalyDetector):
    """Dear-click detector for one series with a known level, in River's shape.

    ``x`` holds ``due``, the conversions that the clicks of this hour will bring in all; ``y`` are the delays (ms) of
    the conversions that arrived in this hour.  ``score_one`` is ``log10(1 + R)`` over the last ``hours`` cohorts at
    the end of the hour.

    >>> detector = CohortDeficit(delays=[0.0] * 6 + [1.0] + [0.0] * 8)
    >>> for _ in range(48):
    ...     detector.learn_one({"due": 10.0}, [1_900_000.0] * 10)
    >>> detector.score_one({"due": 10.0}, [1_900_000.0] * 5) < detector.score_one({"due": 10.0}, [])
    True
    """

    def __init__(self, delays: list[float], hours: int = 48, phi: float = 1.0) -> None:
        self.delays = delays
        self.hours = hours
        self.phi = phi
        self._seen = np.zeros(hours)
        self._due = np.zeros(hours)

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Take one hour."""
        self._seen, self._due = self._after(x, y)

    def score_one(self, x: dict[str, Any], y: Any) -> float:
        """Evidence after this hour, ``log10(1 + R)``, without taking it."""
        seen, due = self._after(x, y)
        below = lag.cumulated(np.asarray(self.delays))
        share = np.array([lag.matured(below, 3.6e6 * i, 3.6e6) for i in range(self.hours)])
        return math.log10(1.0 + judge(np.zeros(COLUMNS), seen, due, share, self.hours, deficit.sloped(self.phi)))

    def _after(self, x: dict[str, Any], y: Any) -> tuple[Row, Row]:
        seen, due = np.roll(self._seen, 1), np.roll(self._due, 1)
        seen[0], due[0] = 0.0, float(x["due"])
        for lag_ms in y:
            cohort = int(lag_ms // 3.6e6)
            if cohort < self.hours:
                seen[cohort] += 1.0
        return seen, due
