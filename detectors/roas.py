"""Return on ad spend: fewer conversions and smaller baskets at once, a Shiryaev-Roberts e-detector on both.

Counts and baskets are tested apart (:mod:`detectors.deficit`, :mod:`detectors.basket`); a return that halves because
each of them falls by a third is told sooner by both together.  Given how many conversions came, their baskets say
something of their own, so the likelihood ratio of "``DEARER`` times the price and baskets divided by ``exp(SMALLER)``"
is the product of the two, and ``R <- (mu + R) * LR`` promises as much as each does alone.  Milder alternatives are not
looked for.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from river.base import SupervisedAnomalyDetector

from detectors import basket, deficit

Row = NDArray[np.float64]

DEARER = deficit.WORSE[0]
"""How many times the price of a conversion; the first ratio of :data:`detectors.deficit.GRID`."""
SMALLER = float(basket.GRID_ARRAY[0])
"""Log of what baskets are divided by."""

# The columns of a row: evidence R, then nats and onset (ms) of its CUSUM.
EVIDENCE, CUSUM, ONSET = range(3)
COLUMNS = 3


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def step(row: Row, mu: float, change: float, from_ms: float) -> float:
    """Evidence ``R`` after a step with ``mu`` conversions expected and the log likelihood ratio ``change``."""
    row[EVIDENCE] = min((min(mu, deficit.LUMP) + row[EVIDENCE]) * math.exp(change), 1e300)
    if row[CUSUM] == 0.0:
        row[ONSET] = from_ms
    row[CUSUM] = max(row[CUSUM] + change, 0.0)
    return float(row[EVIDENCE])


class RoasDrop(SupervisedAnomalyDetector):
    """Detector of dearer conversions with smaller baskets of one series with a known level, in River's shape.

    ``x`` holds ``expected``, the conversions to be expected in the step; ``y`` are the values (> 0) of those that
    came.  ``score_one`` is ``log10(1 + R)`` after the step; baskets are learned while it is below ``suspect``.

    >>> detector = RoasDrop()
    >>> for _ in range(100):
    ...     detector.learn_one({"expected": 3.0}, [40.0, 60.0, 50.0])
    >>> half = detector.score_one({"expected": 30.0}, [38.0] * 20)
    >>> half > detector.score_one({"expected": 30.0}, [38.0] * 30)
    True
    >>> half > detector.score_one({"expected": 30.0}, [50.0] * 20)
    True
    """

    def __init__(self, phi: float = 1.0, suspect: float = 1.5) -> None:
        self.phi = phi
        self.suspect = suspect
        self._row = np.zeros(COLUMNS)
        self._baskets = np.zeros(basket.COLUMNS)

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Judge the step, then learn its baskets unless it is under suspicion."""
        total = math.fsum(map(math.log, y))
        step(self._row, float(x["expected"]), self._change(x, len(y), total), 0.0)
        basket.hold(self._baskets, float(len(y)), total)
        if math.log10(1.0 + self._row[EVIDENCE]) < self.suspect:
            basket.commit(self._baskets)

    def score_one(self, x: dict[str, Any], y: Any) -> float:
        """Evidence after this step, ``log10(1 + R)``, without taking it."""
        change = self._change(x, len(y), math.fsum(map(math.log, y)))
        return math.log10(1.0 + step(self._row.copy(), float(x["expected"]), change, 0.0))

    def _change(self, x: dict[str, Any], n: int, total: float) -> float:
        change = deficit.log_ratio(float(n), float(x["expected"]), self.phi, DEARER)
        if n > 0 and self._baskets[basket.COUNT] >= basket.MIN_BASKETS:
            change += basket.log_ratio(self._baskets, float(n), total, SMALLER)
        return float(change)
