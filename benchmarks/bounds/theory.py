"""What no test can do better than: delays at a promised false-alarm rate, in closed form.

Conversions come at ``l0`` an hour and fall to ``l1 = l0 / r`` when each becomes ``r`` times as dear.  Lorden's delay
(worst over histories) of the best test that is wrong once in ``gamma`` hours (Moustakides 1986: the CUSUM that knows
``r``) is, with ``I1`` and ``I0`` the nats per hour that speak for the change after it and against it before:
``e^h - h - 1 = gamma I0``, ``D* = (h - 1 + e^-h) / I1``.  An outage is the wait ``w* = ln(1 + gamma l0) / l0``.
That is good to 1.4 % for Poisson counts, whose jumps are ones.  With variance ``phi`` times the mean, conversions come
in clusters, the form is a tenth and more too long, and :func:`clustered` solves the CUSUM's equations instead; what
strikes takes conversions one by one, so the gamma's shape stays.  Delays with a conversion
lag ``F`` solve ``integral of F from 0 to D = D*``: clicks since the change speak as far as they have converted.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2, nbinom

Floats = NDArray[np.float64]

QUIET_H = 720.0
"""Hours between two false alarms that are promised: a month of 30 days."""
CELLS = 400
"""Of the lattice on which the limit for clustered counts is solved."""
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
    clusters = rate * (1.0 if phi <= 1.0 else math.log(phi) / (phi - 1.0))
    return math.log1p(quiet_h * clusters) / clusters


def limit(rate: float, r: float, phi: float = 1.0, quiet_h: float = QUIET_H) -> float:
    """``D*`` in hours at ``rate`` conversions an hour; of an outage ``w*``.

    >>> [round(limit(a_day / 24, 2.0), 1) for a_day in (24, 240)]
    [26.0, 4.1]
    """
    if math.isinf(r):
        return waiting_limit(rate, phi, quiet_h)
    if phi > 1.0:
        return clustered(rate, r, phi, quiet_h)
    after, before = information(rate, r, phi)
    height = float(brentq(lambda h: math.expm1(h) - h - quiet_h * before, 1e-9, 100.0))
    return (height - 1.0 + math.exp(-height)) / after


@lru_cache(maxsize=4096)
def clustered(rate: float, r: float, phi: float, quiet_h: float = QUIET_H) -> float:
    """``D*`` in hours of the CUSUM that knows ``r``, on negative binomial counts.

    Its evidence lies on a lattice, rises by one cell a step (while nothing comes) and falls by what comes; the mean
    times to the top, from the bottom, solve a linear system.  The height is such that without a change it is
    ``quiet_h``.

    >>> round(clustered(1.0, 2.0, 1.0001) / limit(1.0, 2.0), 2), round(clustered(1.0, 3.0, 2.0), 1)
    (1.0, 24.4)
    """

    def hours(height: float, changed: bool) -> float:
        return _steps_to_top(height, r, phi, changed) * _step_mu(height, r, phi) / rate

    highest = math.log1p(quiet_h * information(rate, r, phi)[1]) + 0.5
    height = brentq(lambda h: math.log(hours(h, False) / quiet_h), max(highest - 4.0, 0.05), highest, xtol=1e-3)
    return hours(float(height), True)


def _step_mu(height: float, r: float, phi: float) -> float:
    """Conversions expected while evidence rises by a cell."""
    a = phi / (1.0 + (phi - 1.0) / r)
    return height / CELLS * (phi - 1.0) / math.log(a)


def _steps_to_top(height: float, r: float, phi: float, changed: bool) -> float:
    """Mean number of steps from the lowest cell until the highest is left."""
    shape = _step_mu(height, r, phi) / (phi - 1.0)
    over = (phi - 1.0) / (r if changed else 1.0)
    falls = -math.log(phi / (1.0 + (phi - 1.0) / r) / r) * CELLS / height
    n = np.arange(int(CELLS / falls) + 3)
    chance = nbinom.pmf(n, shape, 1.0 / (1.0 + over))
    chance[-1] = 1.0 - chance[:-1].sum()
    cells = np.arange(CELLS)
    move = np.zeros((CELLS, CELLS + 1))
    for k, p in zip(n, chance, strict=True):
        to = np.clip(cells + 1.0 - k * falls, 0.0, CELLS)
        low = np.minimum(to.astype(np.int64), CELLS - 1)
        np.add.at(move, (cells, low), p * (1.0 - (to - low)))
        np.add.at(move, (cells, low + 1), p * (to - low))
    return float(np.linalg.solve(np.eye(CELLS) - move[:, :CELLS], np.ones(CELLS))[0])


def converted(hours: Any, stretch: float = 1.0) -> Floats:
    """``F``: the share of clicks' conversions that came within ``hours``; ``stretch`` makes all lags longer.

    >>> [round(float(converted(h)), 2) for h in (1, 24, 720)]
    [0.35, 0.58, 1.0]
    """
    hours = np.asarray(hours, float)
    return np.asarray(sum(w * -np.expm1(-hours / (mean * stretch)) for w, mean in LAG))


def brought(hours: Any, stretch: float = 1.0) -> Floats:
    """Hours' worth of conversions that the clicks of the last ``hours`` have brought: the integral of ``F``.

    >>> [round(float(brought(h)), 2) for h in (1, 24)]
    [0.25, 11.87]
    """
    hours = np.asarray(hours, float)
    means = [(weight, mean * stretch) for weight, mean in LAG]
    return np.asarray(sum(weight * (hours + mean * np.expm1(-hours / mean)) for weight, mean in means))


def lagged(unlagged_h: float) -> float:
    """Hours until the clicks since a change have converted as much as ``unlagged_h`` hours without a lag bring.

    >>> [round(lagged(limit(a_day / 24, 2.0))) for a_day in (24, 240)]
    [47, 10]
    """
    return float(brentq(lambda hours: float(brought(hours)) - unlagged_h, 0.0, 10.0 * unlagged_h + 1000.0))


def upper_bound(events: int, confidence: float = 0.95) -> float:
    """The upper bound of a Poisson mean of which ``events`` were seen.

    >>> round(upper_bound(0), 2), round(upper_bound(100), 1)
    (3.0, 118.1)
    """
    return float(chi2.ppf(confidence, 2 * (events + 1)) / 2.0)
