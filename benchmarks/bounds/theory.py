"""What no test can do better than: delays at a promised false-alarm rate, in closed form.

Conversions come at ``l0`` an hour and fall to ``l1 = l0 / r`` when each becomes ``r`` times as dear.  Lorden's delay
(worst over histories) of the best test that is wrong once in ``gamma`` hours (Moustakides 1986: the CUSUM that knows
``r``) is, with ``I1`` and ``I0`` the nats per hour that speak for the change after it and against it before:
``e^h - h - 1 = gamma I0``, ``D* = (h - 1 + e^-h) / I1``.  An outage is the wait ``w* = ln(1 + gamma l0) / l0``.
With variance ``phi`` times the mean, counts are negative binomial and so is the information.  Delays with a conversion
lag ``F`` solve ``integral of F from 0 to D = D*``: clicks since the change speak as far as they have converted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2

Floats = NDArray[np.float64]

QUIET_H = 720.0
"""Hours between two false alarms that are promised: a month of 30 days."""
OUTAGE = math.inf
"""The ratio of an outage: no conversion is left."""
LAG = ((0.35, 0.33), (0.15, 8.0), (0.50, 120.0))
"""A lag like Criteo's (Chapelle, KDD 2014): weight and mean hours of exponentials; a third within the hour, half
within a day."""


def information(rate: float, r: float, phi: float = 1.0) -> tuple[float, float]:
    """Nats per hour for the change after it and against it before, at ``rate`` conversions an hour.

    >>> [round(x, 4) for x in information(1.0, 2.0)]
    [0.1534, 0.1931]
    >>> information(1.0, 2.0, 2.0)[0] < information(1.0, 2.0)[0] / 1.5
    True
    """
    kept = 1.0 / r
    if phi <= 1.0:
        return rate * (1.0 - kept + kept * math.log(kept)), rate * (kept - 1.0 - math.log(kept))
    a = phi / (1.0 + (phi - 1.0) * kept)
    per_mu, per_n = math.log(a) / (phi - 1.0), math.log(a * kept)
    return rate * (per_mu + kept * per_n), -rate * (per_mu + per_n)


def waiting_limit(rate: float, phi: float = 1.0, quiet_h: float = QUIET_H) -> float:
    """``w*``: hours of silence that chance brings once in ``quiet_h``, at ``rate`` conversions an hour.

    >>> round(waiting_limit(1.0), 2), round(60 * waiting_limit(100.0), 1)
    (6.58, 6.7)
    """
    slower = 1.0 if phi <= 1.0 else math.log(phi) / (phi - 1.0)
    return math.log1p(quiet_h * rate) / (rate * slower)


def limit(rate: float, r: float, phi: float = 1.0, quiet_h: float = QUIET_H) -> float:
    """``D*`` in hours at ``rate`` conversions an hour; of an outage ``w*``.

    >>> [round(limit(a_day / 24, 2.0), 1) for a_day in (24, 240)]
    [26.0, 4.1]
    """
    if math.isinf(r):
        return waiting_limit(rate, phi, quiet_h)
    after, before = information(rate, r, phi)
    height = float(brentq(lambda h: math.expm1(h) - h - quiet_h * before, 1e-9, 100.0))
    return (height - 1.0 + math.exp(-height)) / after


def converted(hours: Any, stretch: float = 1.0) -> Floats:
    """``F``: the share of clicks' conversions that came within ``hours``; ``stretch`` makes all lags longer.

    >>> [round(float(converted(h)), 2) for h in (1, 24, 720)]
    [0.35, 0.58, 1.0]
    """
    hours = np.asarray(hours, float)
    return np.asarray(sum(w * -np.expm1(-hours / (mean * stretch)) for w, mean in LAG))


def lagged(unlagged_h: float) -> float:
    """Hours until the clicks since a change have converted as much as ``unlagged_h`` hours without a lag bring.

    >>> [round(lagged(limit(a_day / 24, 2.0))) for a_day in (24, 240)]
    [47, 10]
    """

    def matured(hours: float) -> float:
        return float(sum(w * (hours + mean * math.expm1(-hours / mean)) for w, mean in LAG))

    return float(brentq(lambda hours: matured(hours) - unlagged_h, 0.0, 10.0 * unlagged_h + 1000.0))


def upper_bound(events: int, confidence: float = 0.95) -> float:
    """The upper bound of a Poisson mean of which ``events`` were seen.

    >>> round(upper_bound(0), 2), round(upper_bound(100), 1)
    (3.0, 118.1)
    """
    return float(chi2.ppf(confidence, 2 * (events + 1)) / 2.0)
