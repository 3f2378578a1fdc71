"""No conversion at all where there should have been one long ago: the outage timer.

In operational time (expected conversions since the last one) the wait for the first gap of length ``w`` in a Poisson
stream has mean ``e^w - 1``, so alarming once ``e^w - 1`` is ``gamma``, the conversions expected per promised false
alarm, keeps the promise exactly.  Seen in steps, nobody knows where in its step the last conversion fell, and a gap
seems shorter than it is; what was ``e^w - 1`` is then the Shiryaev-Roberts sum of onsets at every step's beginning,
``R <- (R + mu) e^mu`` over an empty step, 0 after a conversion: ``R`` less what was expected is a martingale, so
``R >= gamma`` keeps the same promise with steps of any length.

Overdispersed counts wait longer: with variance ``phi * mu`` the chance of none is ``phi ** (-mu / (phi - 1))``, so the
clock runs slower by ``log(phi) / (phi - 1)``; and there are fewer gaps by the same factor, since conversions come in
clusters (the negative binomial is a compound Poisson count).  The timer needs no fact: ticks drive it.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from river.base import SupervisedAnomalyDetector

Row = NDArray[np.float64]

# The columns of a timer row.
WAITED, SINCE_MS, SINCE_MU, EVIDENCE = range(4)
COLUMNS = 4

MOST = 1e250
"""Evidence that more is not told from."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def pace(phi: float) -> float:
    """Nats of waiting per expected conversion, which is also how many clusters of conversions there are per conversion.

    >>> pace(1.0), round(pace(3.0), 2)
    (1.0, 0.55)
    """
    return 1.0 if phi < 1.0001 else math.log(phi) / (phi - 1.0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def run(row: Row, n: float, mu: float, phi: float, from_ms: float) -> float:
    """Let the timer run over a step; gives its evidence, in clusters of conversions. A conversion sets it back."""
    if n > 0.0 or row[WAITED] == 0.0:
        row[WAITED] = 0.0
        row[SINCE_MS] = from_ms
        row[SINCE_MU] = 0.0
        row[EVIDENCE] = 0.0
    if n <= 0.0:
        nats = mu * pace(phi)
        row[SINCE_MU] += mu
        row[WAITED] += nats
        row[EVIDENCE] = min((row[EVIDENCE] + nats) * math.exp(min(nats, 500.0)), MOST)
    return float(row[EVIDENCE])


class OutageTimer(SupervisedAnomalyDetector):
    """Outage timer of one series in River's shape.

    ``x`` holds ``expected`` (expected conversions of the step) and optionally ``phi``; ``y`` the conversions.
    ``score_one`` is ``log10(1 + R)``: 0 right after a conversion, ``log10(1 + gamma)`` at the limit.

    >>> timer = OutageTimer()
    >>> for _ in range(9):
    ...     timer.learn_one({"expected": 1.0}, 0)
    >>> round(timer.score_one({"expected": 1.0}, 0), 2), timer.score_one({"expected": 1.0}, 1)
    (4.54, 0.0)
    """

    def __init__(self) -> None:
        self._row = np.zeros(COLUMNS)

    def learn_one(self, x: dict[str, Any], y: float) -> None:
        """Take the step."""
        run(self._row, float(y), float(x["expected"]), float(x.get("phi", 1.0)), 0.0)

    def score_one(self, x: dict[str, Any], y: float) -> float:
        """The evidence after this step, in log10, without taking it."""
        return math.log10(1.0 + run(self._row.copy(), float(y), float(x["expected"]), float(x.get("phi", 1.0)), 0.0))
